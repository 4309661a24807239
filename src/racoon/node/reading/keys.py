"""Keys of the reading room: the one table that binds them and prints the cheat sheet.  Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyBinding:
    """Keys that do one thing.

    Parameters
    ----------
    keys
        Names as ``KeyboardEvent.key`` has them, after ``Ctrl+`` or ``Alt+``; each of them does it.
    action
        Name of the action in the page's script.
    label
        English words for the cheat sheet.
    shown
        What the sheet prints instead of all keys.
    in_fields
        Whether it also works while a text field has the focus.
    """

    keys: tuple[str, ...]
    action: str
    label: str
    shown: tuple[str, ...] = ()
    in_fields: bool = False


KEYS = (
    KeyBinding(("ArrowUp", "ArrowLeft"), "previous", "previous slice (mouse wheel too)", ("↑",)),
    KeyBinding(("ArrowDown", "ArrowRight"), "next", "next slice", ("↓",)),
    KeyBinding(("PageUp",), "ten-back", "ten slices back", ("PgUp",)),
    KeyBinding(("PageDown",), "ten-on", "ten slices on", ("PgDn",)),
    KeyBinding(("Home",), "first", "first slice"),
    KeyBinding(("End",), "last", "last slice"),
    KeyBinding(tuple("123456789"), "window", "window", ("1", "…", "9")),
    KeyBinding(("+", "="), "larger", "larger (right mouse button too)", ("+",)),
    KeyBinding(("-",), "smaller", "smaller"),
    KeyBinding(("0",), "fit", "fit to the window"),
    KeyBinding(("w",), "tool-window", "drag changes the window"),
    KeyBinding(("g",), "tool-pan", "drag moves the image (middle mouse button too)"),
    KeyBinding(("l",), "tool-length", "measure a length"),
    KeyBinding(("b",), "tool-bidirectional", "measure two axes"),
    KeyBinding(("e",), "tool-ellipse", "measure an ellipse"),
    KeyBinding(("j",), "tool-angle", "measure an angle"),
    KeyBinding(("u",), "tool-rectangle", "measure a rectangle"),
    KeyBinding(("h",), "tool-freehand", "measure an outline by free hand"),
    KeyBinding(("z",), "tool-sphere", "punch a sphere, cylinder or cube out of the volume"),
    KeyBinding(("p",), "tool-probe", "measure a point"),
    KeyBinding(("d",), "pen-brush", "draw with a brush (Shift erases)"),
    KeyBinding(("x",), "pen-eraser", "erase"),
    KeyBinding(("t",), "pen-threshold", "draw only values of the range"),
    KeyBinding(("s",), "pen-scissors", "fill an outline (Shift cuts it out)"),
    KeyBinding(("f",), "pen-grow", "grow a region from a point"),
    KeyBinding((",",), "pen-smaller", "thinner brush"),
    KeyBinding((".",), "pen-larger", "thicker brush"),
    KeyBinding(("k",), "fill-between", "fill between drawn slices"),
    KeyBinding(("c",), "copy-on", "copy the segment to the next slice"),
    KeyBinding(("C",), "copy-back", "copy the segment to the previous slice"),
    KeyBinding(("a",), "next-segment", "next segment to draw"),
    KeyBinding(("V",), "take-volume", "volume of the segment as a finding"),
    KeyBinding(("Ctrl+s",), "finish-drawing", "store the drawing", in_fields=True),
    KeyBinding(("n",), "next-finding", "next finding"),
    KeyBinding(("N",), "previous-finding", "previous finding"),
    KeyBinding(("Delete", "Backspace"), "remove-finding", "remove the chosen finding", ("Del",)),
    KeyBinding(("Ctrl+z",), "undo", "undo (a pen in the hand: what was drawn)"),
    KeyBinding(("Ctrl+y", "Ctrl+Z"), "redo", "redo", ("Ctrl+y",)),
    KeyBinding(("L",), "section", "sections across a line: mark places, then the same key"),
    KeyBinding(("F",), "fuse", "uptake or map in colour over the image, and away"),
    KeyBinding(("<",), "layer-weaker", "colour over the image weaker"),
    KeyBinding((">",), "layer-stronger", "colour over the image stronger"),
    KeyBinding(("H",), "header", "header of the image"),
    KeyBinding(("I",), "invert", "invert black and white"),
    KeyBinding(("m",), "masks", "masks on and off"),
    KeyBinding(("i",), "texts", "texts on the image on and off"),
    KeyBinding(("v",), "planes", "three planes with crosshair, and back"),
    KeyBinding(("o",), "slab", "slab: single slice, highest, mean, lowest value"),
    KeyBinding(("q",), "cine", "run through the slices, and stop"),
    KeyBinding(("y",), "prior", "earlier examination beside the image"),
    KeyBinding(("]",), "next-series", "next series"),
    KeyBinding(("[",), "previous-series", "previous series"),
    KeyBinding(("r",), "report", "to the first open question of the report"),
    KeyBinding(("Escape",), "image", "back to the image", ("Esc",), in_fields=True),
    KeyBinding(("Alt+n",), "normal", "everything else is normal", in_fields=True),
    KeyBinding(("Alt+k",), "codes", "to the codes for what was written", in_fields=True),
    KeyBinding(("Ctrl+Enter",), "sign", "sign the report", in_fields=True),
    KeyBinding(("Alt+j",), "next-case", "next case of the worklist", in_fields=True),
    KeyBinding(("?",), "help", "this list"),
)
