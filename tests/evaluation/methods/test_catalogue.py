"""The descriptions of published methods: those that come with the package, and what is refused."""

import pytest
import yaml
from evaluation.methods.stub import describe

from vividface.errors import InputError
from vividface.evaluation.methods.catalogue import published_method, published_methods, read_method
from vividface.evaluation.methods.description import Frames
from vividface.evaluation.paper import paper_tables

METHODS = published_methods()


@pytest.fixture
def write(tmp_path):
    """`write(**keys)`: the path of a description with these keys."""

    def write(**keys):
        path = tmp_path / "stub.yaml"
        path.write_text(yaml.safe_dump({**describe(tmp_path, "a" * 40, "frames"), **keys}))
        return path

    return write


def test_a_method_is_found_by_its_name_or_its_file(write):
    assert published_method("keep") == METHODS["keep"]
    assert published_method(str(write())).title == "Stub"
    with pytest.raises(InputError, match=r"nobody: there is no such published method; choose of .*keep"):
        published_method("nobody")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"commit": "main"}, r"commit: String should match"),
        ({"speed": 1}, r"speed: unknown key"),
        (
            {"commands": [["python", "{inputs}"]]},
            r"commands: '\{inputs\}': there is no placeholder \{inputs\}",
        ),
        ({"commands": [["python", "{input"]]}, r"commands: '\{input'"),
        (
            {"environment": {"python": "3.11", "packages": [], "variables": {"HOME": "{output}"}}},
            r"environment\.variables: '\{output\}': there is no placeholder",
        ),
        ({"seconds": "took [0-9]+"}, r"seconds: .*needs one group"),
        ({"timed": ["network.Network"]}, r"timed\.0: String should match"),
        (
            {"timed": ["a:b"], "seconds": "took ([0-9]+)"},
            r"timed: the program prints its time by itself, as `seconds` says",
        ),
        (
            {"timed": ["a:b"], "commands": [["restore.py", "{input}"]]},
            r"timed: no command runs a script of Python",
        ),
        ({"input": {"kind": "tape"}}, r"input\.kind: Input should be 'video'"),
        (
            {"input": {"kind": "videos"}, "commands": [["run", "{name}"]]},
            r"commands: one run takes all clips, so that \{name\}, .* say nothing",
        ),
        (
            {"input": {"kind": "videos", "protocol": "aligned"}},
            r"input\.protocol: aligned faces go clip by clip",
        ),
        (
            {"weights": [{"kind": "url", "url": "https://a.b/c", "path": "../c"}]},
            r"weights: '\.\./c' is not inside the checkout",
        ),
        ({"frames": {"minimum": 16, "maximum": 8}}, r"frames: frames\.maximum: no number of frames"),
        ({"frames": {"remainder": 4, "multiple": 4}}, r"frames: frames\.remainder: has to be below"),
    ],
)
def test_a_wrong_description_is_told_in_one_line(write, keys, message):
    with pytest.raises(InputError, match=message) as error:
        read_method(write(**keys))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("frames", "num_frames", "padded"),
    [
        ({}, 7, 7),
        ({"multiple": 5}, 11, 15),
        ({"multiple": 4, "remainder": 1}, 9, 9),
        ({"multiple": 4, "remainder": 1}, 10, 13),
        ({"minimum": 16}, 3, 16),
        ({"multiple": 8, "remainder": 1, "lost": 4}, 13, 17),
        ({"multiple": 8, "remainder": 1, "lost": 4}, 14, 25),
    ],
)
def test_frames_are_padded_to_a_number_that_the_method_takes(frames, num_frames, padded):
    assert Frames(**frames).padded(num_frames) == padded


def test_pieces_are_as_long_as_they_may_be():
    assert Frames(maximum=24, minimum=24).pieces(50) == [(0, 24), (24, 48), (48, 50)]
    assert Frames(maximum=10, multiple=4, remainder=1).pieces(20) == [(0, 9), (9, 18), (18, 20)]
    assert Frames().pieces(50) == [(0, 50)]


def test_what_only_tells_of_a_method_does_not_change_its_fingerprint(write):
    before = read_method(write())
    assert read_method(write(known_faults=["It flickers."])).fingerprint == before.fingerprint
    assert read_method(write(commands=[["python", "other.py"]])).fingerprint != before.fingerprint


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_the_paper_has_the_papers_title_in_its_tables(name):
    method = METHODS[name]
    printed = {number for number, table in paper_tables().items() if method.title in table.rows}
    assert printed <= set(method.tables)


@pytest.mark.parametrize("name", METHODS)
def test_the_time_of_every_method_is_that_of_its_model_alone(name):
    assert METHODS[name].timed


@pytest.mark.parametrize("name", METHODS)
def test_faults_and_reasons_are_sentences(name):
    sentences = [*METHODS[name].known_faults, *(patch.why for patch in METHODS[name].patches)]
    assert [text for text in sentences if not (text[0].isupper() and text.endswith("."))] == []
