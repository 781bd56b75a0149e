"""`section`: a function that draws one kind of node, registered with what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zeoarray import schema
from zeoarray.report.blocks import Block
from zeoarray.report.contents import Contents, Node
from zeoarray.report.truth import Truth

Draw = Callable[[Node, "Around"], Iterable[Block]]


@dataclass
class Around:
    """What a section may look at beside its own node."""

    contents: Contents
    truth: Truth | None = None


@dataclass(frozen=True)
class Section:
    """One part of the page, for every node that has what it needs."""

    title: str
    order: int
    """Sections of a scan stand in this order: results below 30, then how they came to be."""
    needs: tuple[schema.Var, ...]
    draw: Draw
    of_truth: bool = False
    """Whether it compares with the truth: it is left out where that is not known."""

    def fits(self, node: Node, around: Around) -> bool:
        """Whether it draws this node."""
        return node.has(self.needs) and not (self.of_truth and around.truth is None)


SECTIONS: list[Section] = []


def section(
    title: str, *, order: int, needs: Iterable[schema.Var], of_truth: bool = False
) -> Callable[[Draw], Draw]:
    """Register a function that draws one kind of node.

    Whatever it raises stands in the page in its place; what it gave before that stays.

    Parameters
    ----------
    title
        Heading of the section.
    order
        Where it stands among the sections of its scan: results below 30, then how they came to be.
    needs
        Variables that a node has, with these dims, where the section draws it.
    of_truth
        Whether it compares with the truth of a simulated sample.
    """

    def register(draw: Draw) -> Draw:
        SECTIONS.append(Section(title, order, tuple(needs), draw, of_truth))
        return draw

    return register


def fitting(node: Node, around: Around) -> Iterator[Section]:
    """The sections that draw a node."""
    return (found for found in SECTIONS if found.fits(node, around))
