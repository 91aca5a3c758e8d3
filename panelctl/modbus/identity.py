"""Which kind of device this is: which marks a map wants to see, and what a SunSpec device says.

Sans-IO: the caller reads the spans and hands in the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from panelctl.modbus.capture import Words, decode_with
from panelctl.modbus.codec import decode_text, raw_unsigned
from panelctl.modbus.maps import Mark, Point, RegisterMap, load_map, map_names
from panelctl.modbus.shapes import Span

COMMON = "sunspec_common"
SERIAL = "serial_number"  # the point of that name tells two devices of one kind apart
BLANK = ({0}, {0xFFFF})  # words of a device that was given none


def marked_maps() -> list[RegisterMap]:
    """The maps whose devices can be told by a mark."""
    maps = [load_map(name) for name in map_names()]
    return [known for known in maps if known.marks]


def span_of(mark: Mark) -> Span:
    """What to read for a mark."""
    return Span(mark.table, mark.address, max(1, (len(mark.text) + 1) // 2))


def bears(mark: Mark, words: Sequence[int]) -> bool:
    """Whether the words read for a mark are those of the map's device."""
    if mark.text:
        raw = b"".join(word.to_bytes(2, "big") for word in words)
        return raw.startswith(mark.text.encode("ascii"))
    return words[0] in mark.values


def sunspec_name(tables: Mapping[str, Words]) -> str:
    """Maker and model that a SunSpec device gives in its common model; empty without one."""
    for decoded in decode_with(load_map(COMMON), tables):
        return " ".join(str(decoded.values.get(key, "")) for key in ("maker", "model")).strip()
    return ""


def serial_span(known: RegisterMap) -> Span | None:
    """What to read for a device's serial number; None where its map has none."""
    point = known.points.get(SERIAL)
    return None if point is None else Span(point.table, point.address, point.count)


def serial_of(known: RegisterMap, words: Sequence[int]) -> str:
    """The serial number in the words of `serial_span`, empty for none."""
    point: Point = known.points[SERIAL]
    if set(words) in BLANK:
        return ""
    if point.type == "text":
        return "".join(c for c in decode_text(point, words) if c.isprintable())
    return str(raw_unsigned(point, words))
