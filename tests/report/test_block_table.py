"""What `inspect` says of many blocks at once."""

from __future__ import annotations

from lascompile.report.block_table import dense_reasons


def block(name: str, reason: str | None, advice: str = "") -> dict[str, str | None]:
    return {"name": name, "reason": reason, "advice": advice}


def test_reasons_that_differ_in_names_share_an_entry() -> None:
    blocks = [
        block(f"layer1.{i}", f"GlobalAveragePool layer1.{i}/pool reads every pixel", f"move layer1.{i}/pool")
        for i in range(16)
    ]
    (entry,) = dense_reasons(blocks)
    assert str(entry).startswith(
        "16 blocks, layer1.0 to layer1.15: GlobalAveragePool layer1.0/pool reads every pixel (and so on)"
    )
    assert "what to do: move layer1.0/pool" in str(entry)


def test_other_reasons_do_not() -> None:
    blocks = [block("a", "no mask multiplies this branch"), block("b", None), block("c", "the mask is a constant")]
    assert [str(entry) for entry in dense_reasons(blocks)] == [
        "a: no mask multiplies this branch",
        "c: the mask is a constant",
    ]
