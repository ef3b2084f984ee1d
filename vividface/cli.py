"""The command `vividface`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividface.errors import InputError

if TYPE_CHECKING:
    from vividface.restoration.batch import Outcome
    from vividface.restoration.enhance import Enhanced

_WEIGHTS = {"nano": Path("checkpoints/main/pixel_stage"), "wan-1.3b": Path("weights/vividface-1.3b")}
_ORIGIN = {
    "nano": "`make demo` trains them",
    "wan-1.3b": "`vividface import-checkpoint` makes them of published ones",
}
# Exit statuses; argparse's own for a wrong option is 2.
_FAILED, _INCOMPLETE, _INTERRUPTED = 1, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        the exit status: 0; 1 with one line on standard error for bad input; 3 when the input was damaged, so
        that the result is not all of it; 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("vividface", description="One-step diffusion video face enhancement.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_enhance(commands.add_parser("enhance", help="enhance the faces of a video"))
    _add_import(commands.add_parser("import-checkpoint", help="convert published weights into a checkpoint"))

    _add_versions(commands)

    assets = commands.add_parser("assets", help="third-party weights: list them, or fetch some")
    actions = assets.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what is known, and what is in the cache")
    listing.set_defaults(run=_list_assets)
    fetch = actions.add_parser("fetch", help="download into the cache and verify")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    fetch.set_defaults(run=_fetch_assets)
    _add_rubric(
        commands.add_parser("rubric", help="the judge's rubric: its prompt, and fitting it to labels")
    )
    return parser


def _add_rubric(rubric: argparse.ArgumentParser) -> None:
    actions = rubric.add_subparsers(required=True, metavar="ACTION")
    prompt = actions.add_parser("prompt", help="check a rubric and print what a language model is asked")
    prompt.add_argument("rubric", nargs="?", default="face90", help="name, or a YAML file (default: face90)")
    prompt.set_defaults(run=_print_prompt)
    calibrate = actions.add_parser(
        "calibrate", help="propose a threshold and offsets from a CSV of judgements"
    )
    add = calibrate.add_argument
    add("labels", type=Path, help="CSV: clip_id, keep and/or score, and criteria if they were judged")
    add("--scores", type=Path, nargs="+", help="tables of score_clips (default: data/*/scores/*.parquet)")
    add("--rubric", default="face90", help="name, or a YAML file (default: %(default)s)")
    add("--threshold", type=float, help="in use now (default: the rubric's)")
    add("-o", "--output", type=Path, default=Path("results/calibration.md"), help="(default: %(default)s)")
    calibrate.set_defaults(run=_calibrate)


def _add_enhance(enhance: argparse.ArgumentParser) -> None:
    add = enhance.add_argument
    add("input", type=Path, metavar="INPUT", help="a video, an image, a folder of either, or a pattern")
    add("-o", "--output", type=Path, required=True, help="of the same kind; a video for frames as well")
    add("--mode", choices=["full", "crop"], default="full", help="find faces, or take frames as face crops")
    add("--preset", choices=sorted(_WEIGHTS), default="nano", help="which model (default: %(default)s)")
    add("--weights", type=Path, help="checkpoint folder (default: where the preset's is kept)")
    add("--autoencoder", type=Path, help="another autoencoder for the same latents, e.g. a tiny one")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto")
    add("--dtype", choices=["auto", "fp32", "bf16"], default="auto", help="auto: bf16 on a GPU")
    add("--seed", type=int, default=0, help="of everything random, which the one-step model has none of")
    add("--window", type=int, help="frames at once, 1 + a multiple of 4 (default: as in training)")
    add("--overlap", type=int, help="frames blended between windows (default: a tenth of a window)")
    add("--size", type=int, help="px, side of a face's crop in mode full (default: as in training)")
    add("--scale", type=float, default=1, help="size of the result over that of the input")
    add("--faces", choices=["auto", "dlib", "facexlib"], default="auto", help="auto: facexlib on a GPU")
    add("--min-face", type=int, default=24, help="px, smaller faces are left alone (default: %(default)s)")
    add("--margin", type=float, default=0.3, help="around a face, of its side (default: %(default)s)")
    add("--cut-threshold", type=float, default=27, help="0..255; 0 looks for no cuts (default: %(default)s)")
    add("--colour", choices=["none", "adain", "wavelet"], default="none", help="keep the input's colours")
    add("--fps", type=Fraction, default=Fraction(25), help="of a folder of frames (default: %(default)s)")
    add("--tile", action="store_true", help="less memory for large frames (Wan's autoencoder)")
    add("--offload", action="store_true", help="less GPU memory: only what computes is there")
    add("--compare", type=Path, help="also write input and output side by side; of a folder, a folder")
    add("--json", action="store_true", help="print the result as JSON")
    add("--overwrite", action="store_true", help="replace existing results")
    add("--resume", action="store_true", help="go on with a run that was interrupted or killed")
    enhance.set_defaults(run=_enhance)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, nargs="+", metavar="SRC", help="files or folders")
    parser.add_argument("output", type=Path, metavar="DST", help="checkpoint folder, made or completed")
    parser.add_argument(
        "--prediction",
        choices=["wan", "velocity"],
        default="wan",
        help="sign of the transformer's prediction (default: %(default)s, as Wan and the authors' release)",
    )
    parser.add_argument("--timestep", type=float, default=400.0, help="t* (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true")
    parser.set_defaults(run=_import_checkpoint)


def _add_versions(commands: Any) -> None:
    pipeline = commands.add_parser("pipeline", help="render dvc.yaml from the configuration")
    pipeline.add_argument("--configfile", type=Path, nargs="*", default=[], help="overlays of config.yaml")
    pipeline.add_argument("--profile", help="of Snakemake, for the stages' commands")
    pipeline.set_defaults(run=_pipeline)
    publish = commands.add_parser("publish", help="commit to DVC and push what the last run made")
    publish.add_argument("--remote", help="of DVC (default: its default)")
    publish.add_argument("--no-push", action="store_true", help="commit to the cache alone")
    publish.set_defaults(run=_publish)
    restore = commands.add_parser("restore", help="pull what was published, and make Snakemake agree")
    restore.add_argument("targets", nargs="*", metavar="TARGET", help="a path or milestone, to pull it alone")
    restore.add_argument("--remote", help="of DVC (default: its default)")
    restore.add_argument("--no-pull", action="store_true", help="after `dvc pull` or `dvc checkout`")
    restore.set_defaults(run=_restore)
    provenance = commands.add_parser("provenance", help="what a file was made from, every link verified")
    provenance.add_argument("path", type=Path, metavar="PATH")
    provenance.add_argument("--full", action="store_true", help="read every file, whatever its time says")
    provenance.add_argument("--json", action="store_true", help="print the chain as JSON")
    provenance.set_defaults(run=_provenance)


def _enhance(options: argparse.Namespace) -> int:
    from vividface.restoration.batch import enhance_folder
    from vividface.restoration.reading import videos_in

    if options.input.is_dir() and (videos := videos_in(options.input)):
        one = _enhancer(options)
        outcomes = enhance_folder(videos, options.output, one, options.resume, _report_outcome)
        failed = [outcome for outcome in outcomes if outcome.error]
        done = sum(outcome.enhanced is not None for outcome in outcomes)
        skipped = sum(outcome.skipped for outcome in outcomes)
        summary = f"{done} enhanced, {skipped} there already, {len(failed)} failed"
        print(f"{options.output}: {summary}", file=sys.stderr)
        if options.json:
            print(json.dumps({"videos": [_outcome_values(outcome) for outcome in outcomes]}, indent=2))
        incomplete = any(outcome.enhanced and outcome.enhanced.problem for outcome in outcomes)
        return _FAILED if failed else _INCOMPLETE if incomplete else 0
    enhanced = _enhancer(options)(options.input, options.output)
    if options.json:
        print(json.dumps(_values(options.input, enhanced), indent=2))
    else:
        print(_sentence(enhanced))
    _warn(options.input, enhanced)
    return _INCOMPLETE if enhanced.problem else 0


def _enhancer(options: argparse.Namespace) -> Any:
    """A function that enhances one input, with the model loaded."""
    import torch

    from vividface.config import RestorationConfig
    from vividface.devices import choose_device
    from vividface.restoration.enhance import enhance
    from vividface.restoration.model import DTYPES, load_model, load_pipeline
    from vividface.restoration.reading import open_source

    if not options.input.exists() and not any(sign in str(options.input) for sign in "*?["):
        raise InputError(f"{options.input}: there is no such file or folder; check the path")
    if options.fps <= 0:
        raise InputError(f"--fps {options.fps}: is not positive")
    torch.manual_seed(options.seed)
    device = choose_device(options.device)
    dtype = options.dtype if options.dtype != "auto" else "bf16" if device == "cuda" else "fp32"
    weights = options.weights or _WEIGHTS[options.preset]
    if options.weights is None and not weights.exists():
        raise InputError(f"{weights}: no weights are there; {_ORIGIN[options.preset]}, or give --weights")
    pipeline = load_pipeline(
        weights, device, DTYPES[dtype], options.autoencoder, options.tile, options.offload
    )
    model = load_model(pipeline, weights, options.mode, options.faces, options.size, torch.get_num_threads())
    window = options.window or int(pipeline.transformer.config.clip_frames)
    values = {
        "window": window,
        "overlap": max(window // 10, 1) if options.overlap is None else options.overlap,
        "cut_threshold": options.cut_threshold or None,
        "colour": options.colour,
        "scale": options.scale,
        "margin": options.margin,
        "min_face": options.min_face,
    }
    try:
        config = RestorationConfig.model_validate(values)
    except ValueError as error:
        from vividface.config import describe_problems

        raise InputError(f"options: {describe_problems(error)}") from None  # type: ignore[arg-type]

    def one(source: Path, output: Path) -> Enhanced:
        opened = open_source(source, options.fps)
        compare = options.compare
        if compare is not None and source != options.input:
            compare = compare / output.name
        return enhance(
            opened,
            output,
            model,
            config,
            compare,
            options.overwrite,
            options.resume,
            sys.stderr.isatty(),
        )

    return one


def _sentence(enhanced: Enhanced) -> str:
    rate = enhanced.restored / max(enhanced.seconds, 1e-6)
    faces = "" if enhanced.faces is None else f", faces in {enhanced.faces}"
    time = f"{enhanced.seconds:.1f} s ({rate:.1f} frames/s)"
    return f"{enhanced.output}: {enhanced.frames} frames{faces}, in {time}"


def _warn(source: Path, enhanced: Enhanced) -> None:
    for note in enhanced.notes:
        print(f"note: {note}", file=sys.stderr)
    if enhanced.problem:
        readable = f"the {enhanced.frames} frames that can be read were enhanced"
        print(f"warning: {source}: {enhanced.problem}; {readable}", file=sys.stderr)


def _report_outcome(outcome: Outcome) -> None:
    if outcome.enhanced is not None:
        print(_sentence(outcome.enhanced), file=sys.stderr)
        _warn(outcome.source, outcome.enhanced)
    elif outcome.error:
        print(f"error: {outcome.error}", file=sys.stderr)


def _outcome_values(outcome: Outcome) -> dict[str, Any]:
    if outcome.enhanced is not None:
        return _values(outcome.source, outcome.enhanced)
    return {"input": str(outcome.source), "error": outcome.error, "skipped": outcome.skipped}


def _values(source: Path, enhanced: Enhanced) -> dict[str, Any]:
    return {"input": str(source)} | vars(enhanced) | {"output": str(enhanced.output)}


def _import_checkpoint(options: argparse.Namespace) -> None:
    from vividface.models.convert import import_checkpoint

    imported = import_checkpoint(
        options.source, options.output, options.prediction, options.timestep, options.overwrite
    )
    for line in imported.found:
        print(line)
    if imported.missing:
        print(f"{options.output}: still lacks {', '.join(imported.missing)}; import that as well")
    else:
        print(f"{options.output}: is complete; use it with `vividface enhance --weights {options.output}`")


def _pipeline(options: argparse.Namespace) -> None:
    from vividface.versions.pipeline import PIPELINE, write_pipeline

    changed = write_pipeline(options.configfile, options.profile)
    print(f"{PIPELINE}: {'rendered' if changed else 'is up to date'}")


def _publish(options: argparse.Namespace) -> None:
    from vividface.milestones import MILESTONES
    from vividface.versions.publish import publish

    left = publish(options.remote, not options.no_push)
    print(f"published: {', '.join(name for name in MILESTONES if name not in left)}")
    for name, rules in left.items():
        print(f"left out: {name} (Snakemake has to run {_jobs(rules)})")
    print("now: git add dvc.yaml dvc.lock && git commit")


def _restore(options: argparse.Namespace) -> None:
    from vividface.versions.publish import restore

    planned = restore(options.targets, options.remote, not options.no_pull)
    if options.targets:
        print(f"restored: {', '.join(options.targets)}")
    elif planned:
        print(f"restored; Snakemake would run {_jobs(planned)}; `snakemake --dry-run` says why")
    else:
        print("restored; Snakemake has nothing to do")


def _jobs(rules: dict[str, int]) -> str:
    return ", ".join(f"{rule} ({jobs})" for rule, jobs in rules.items())


def _provenance(options: argparse.Namespace) -> int:
    from vividface.provenance.chain import describe, trace

    links = trace(options.path, trust_times=not options.full)
    print(json.dumps([vars(link) for link in links], indent=2) if options.json else describe(links))
    problems = dict.fromkeys(link.problem for link in links if link.problem)
    for problem in problems:
        print(f"error: {problem}; run Snakemake, or restore it", file=sys.stderr)
    return _FAILED if problems else 0


def _print_prompt(options: argparse.Namespace) -> None:
    from vividface.filtering.rubric import load_rubric

    # The number of frames only decides whether the prompt speaks of one or of several.
    print(load_rubric(options.rubric).prompt(frames=2), end="")


def _calibrate(options: argparse.Namespace) -> None:
    from vividface.files import atomic_path
    from vividface.filtering.calibration import calibrate, calibration_report, read_labels
    from vividface.filtering.rubric import load_rubric
    from vividface.filtering.selection import gather_scores

    rubric = load_rubric(options.rubric)
    paths = options.scores or sorted(Path("data").glob("*/scores/*.parquet"))
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        where = missing[0] if missing else "data/*/scores/*.parquet"
        raise InputError(f"{where}: no scores are there; run the rule score_clips, or give --scores")
    scores = gather_scores(paths)
    threshold = rubric.threshold if options.threshold is None else options.threshold
    proposal = calibrate(scores, read_labels(options.labels, rubric), rubric, threshold)
    report = calibration_report(proposal, threshold, ", ".join(sorted(scores["judge"].unique())))
    with atomic_path(options.output) as temporary:
        temporary.write_text(report)
    print(report)
    print(f"{options.output}: written")


def _list_assets(options: argparse.Namespace) -> None:
    from vividface.assets import is_cached
    from vividface.assets.catalogue import ASSETS

    for name, asset in sorted(ASSETS.items()):
        print(f"{name:24} {'cached' if is_cached(name) else 'not fetched':12} {asset.what}")


def _fetch_assets(options: argparse.Namespace) -> None:
    from vividface.assets import fetch_asset
    from vividface.assets.catalogue import ASSETS, GROUPS

    for name in options.names:
        if name not in GROUPS and name not in ASSETS:
            raise InputError(f"{name}: no such asset; `vividface assets list` names all")
        for asset in GROUPS.get(name, [name]):
            print(fetch_asset(asset))


if __name__ == "__main__":
    sys.exit(main())
