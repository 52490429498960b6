"""The id book, and getting it back from the kernel (style, rules 3 and 6)."""

from dataplane.compile.adopt import adopted_book, adopted_memory
from dataplane.model.ids import IdBook, Numbering
from tests.fakes.networks import PEERED, desired


def test_numbers_are_dense_and_stay() -> None:
    numbering = Numbering(IdBook())
    first = [numbering.number("port", name) for name in ("x", "y", "x")]
    assert first == [1, 2, 1]
    again = Numbering(numbering.book())
    assert [again.number("port", name) for name in ("z", "y")] == [3, 2]
    assert again.number("table", "x") == 1, "kinds number by themselves"


def test_a_number_is_not_reused_before_the_book_drops_it() -> None:
    book = Numbering(IdBook({("port", "gone"): 1}))
    assert book.number("port", "new") == 2
    kept = book.book().keep({("port", "new")})
    assert Numbering(kept).number("port", "newer") == 1


def test_compiling_again_with_the_book_gives_the_same() -> None:
    first = desired(PEERED)
    second = desired(PEERED, first.book)
    assert {k: w.object for k, w in first.wanted.items()} == {k: w.object for k, w in second.wanted.items()}
    assert first.book == second.book


def test_ports_are_recovered_from_marks_and_the_rest_numbers_above() -> None:
    first = desired(PEERED)
    book = adopted_book(wish.object for wish in first.wanted.values())
    second = desired(PEERED, book)

    def links(d):
        return {key: wish.object for key, wish in d.wanted.items() if key[0] == "veth"}

    def tables(d):
        return {key[2] for key in d.wanted if key[0] == "route" and key[2] != 254}

    assert links(first) == links(second)
    assert tables(first).isdisjoint(tables(second))


def test_addresses_are_recovered_from_interfaces() -> None:
    first = desired(PEERED)
    memory = adopted_memory(wish.object for wish in first.wanted.values())
    assert memory.addresses() == first.addresses
