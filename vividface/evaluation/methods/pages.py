"""The published methods for people: their list, with what was changed in them, in docs/methods.md."""

from __future__ import annotations

from collections.abc import Mapping

from vividface.evaluation.methods.description import HandWeights, Input, PublishedMethod

_BEGIN, _END = "<!-- methods: written by `make schema` -->", "<!-- end of methods -->"
_KINDS = {
    "video": "a video at a time",
    "frames": "a folder of frames at a time",
    "videos": "a folder of videos, all at once",
    "frame_folders": "a folder of folders of frames, all at once",
}
_SIZES = {"keep": "", "square_512": "resized to 512 x 512", "quarter": "a quarter of the size"}


def methods_page(page: str, methods: Mapping[str, PublishedMethod]) -> str:
    """The page with the list of the methods as their descriptions have it.

    Args:
        page: page, with a line before and a line behind the list.
        methods: methods by their names.
    """
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "\n".join([before + _BEGIN, "", *_list(methods), "", _END + after])


def _list(methods: Mapping[str, PublishedMethod]) -> list[str]:
    lines = [
        "| name | method | tables | licence to accept | reads | runs on |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, method in methods.items():
        cells = [
            f"`{name}`",
            f"[{method.title}]({method.repository}/tree/{method.commit})",
            ", ".join(map(str, method.tables)),
            ", ".join(f"[`{licence.id}`]({licence.page})" for licence in method.to_accept()) or "none",
            _reads(method.input),
            "a GPU" if method.needs_gpu else "a GPU or a CPU",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for name, method in methods.items():
        lines += ["", f"### {name}", "", f"{method.paper}.", "", *_remarks(method)]
    return lines


def _reads(reads: Input) -> str:
    aligned = "aligned faces" if reads.protocol == "aligned" else ""
    return "; ".join(filter(None, [_KINDS[reads.kind], _SIZES[reads.size], aligned]))


def _remarks(method: PublishedMethod) -> list[str]:
    by_hand = [file for file in method.weights if isinstance(file, HandWeights)]
    return [
        *(
            f"- Brought by hand, from [its page]({file.page}): {file.file}, as `{file.path}`."
            for file in by_hand
        ),
        *([f"- Timed: {_calls(method.timed)}."] if method.timed else []),
        *(f"- Changed: {patch.why}" for patch in method.patches),
        *(f"- Known: {fault}" for fault in method.known_faults),
        *([] if by_hand or method.patches or method.known_faults else ["- Nothing is changed or known."]),
    ]


def _calls(timed: list[str]) -> str:
    return ", ".join(f"`{name.partition(':')[2]}`" for name in timed)
