"""HL7 v2 as hospital systems send it: blocks of MLLP, messages in their own encoding, answers, times.

Bytes in, bytes out: what a message means for a patient's course is said in ``node.clinical``, and no connection is
opened here.  Splitting into segments and fields is done by the library ``hl7``; encodings and escapes are read here,
because the library guesses the first and writes values of the second into the log.
Floor plan: part of ``standards``; it knows no room.
"""
