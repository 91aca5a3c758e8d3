"""Types of the compiled fields. Meaning is in ext/panelctl/modbus/fields.pyx."""

from array import array

from panelctl.modbus.maps import Point

class Field:
    slot: int
    def __init__(
        self,
        point: Point,
        offset: int,
        inner: str,
        slot: int = ...,
        least: int = ...,
        most: int = ...,
        scale_offset: int = ...,
        inverted: bool = ...,
    ) -> None: ...
    def decode(self, words: list[int]) -> int | None: ...

class Block:
    def __init__(
        self,
        fields: list[Field],
        value: array[int],
        quality: array[int],
        sampled_ns: array[int],
    ) -> None: ...
    def store(self, words: list[int], sampled_ns: int) -> None: ...
