"""What a benchmark reports: measured numbers, some of them held to a target."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`at_least` or `at_most` makes it a target; without either it is information."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def verdict(self) -> str:
        if self.at_least is None and self.at_most is None:
            return ""
        low = self.at_least is not None and self.value < self.at_least
        high = self.at_most is not None and self.value > self.at_most
        return "MISS" if low or high else "PASS"

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f">= {_number(self.at_least)}"
        return "" if self.at_most is None else f"<= {_number(self.at_most)}"

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "verdict": self.verdict}


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(results: Sequence[tuple[str, Figure]]) -> str:
    """All figures under one another, in columns."""
    head = ("benchmark", "figure", "measured", "", "target", "")
    rows = [
        (benchmark, figure.name, _number(figure.value), figure.unit, figure.target, figure.verdict)
        for benchmark, figure in results
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, tuple("-" * width for width in widths), *rows):
        cells = [
            cell.rjust(width) if index == 2 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
