"""Training and evaluating segmentation networks, and the federated engine behind one port.

Two halves: numpy-only modules (architectures, weights, aggregation, cases, engine, flare) that CENTRAL may
import, and torch modules (networks, training, train_process) that only a child process at a node ever loads.
It is not a job queue, knows no archive and no study; ``node.compute`` and ``central.learning`` call it.
It stands below ``web`` and above ``platform``; nothing here is imported by the base installation at start.
"""
