"""Settings and lines: what is wrong is named, what is right is filled in."""

from pathlib import Path

import pytest
import yaml

from mlops_assets.core.errors import ConfigError, MissingExtra
from mlops_assets.core.family import Family
from mlops_assets.core.line import Collection, Monitoring, Release, Serving, Triggers
from mlops_assets.wiring.environment import dagster_home
from mlops_assets.wiring.families import load_family, vendor_packages
from mlops_assets.wiring.lines import MODEL_LINE, declared_in, lines_in, read_lines, read_policy
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings, read_settings

LINE = {
    "line": "sorting",
    "family": "baseline",
    "golden": {"path": "golden", "origin": "synthetic"},
    "policy": {"primary": {"metric": "accuracy", "margin": 0.01}},
}


@pytest.fixture
def lines_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lines"
    folder.mkdir()
    monkeypatch.setenv("MLOPS_LINES", str(folder))
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    return folder


def declare(folder: Path, name: str, **changes: object) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"type": MODEL_LINE, "attributes": {**LINE, **changes}}))
    return path


def test_everything_is_under_the_home_unless_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv("MLOPS_ALERT_URLS", "json://a.example mailto://b.example")
    settings = read_settings()
    assert settings.database_url == f"sqlite:///{tmp_path}/platform.db"
    assert settings.tracking_uri.endswith(f"{tmp_path}/mlflow.db")
    assert settings.alert_urls == ("json://a.example", "mailto://b.example")
    assert all(field.description for field in Settings.model_fields.values())


def test_an_unknown_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOEM", "/nowhere")
    with pytest.raises(ConfigError, match=r"MLOPS_HOEM.*MLOPS_HOME"):
        read_settings()


def test_a_line_in_dotenv_counts_and_a_typo_in_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_ROOT", str(tmp_path))
    (tmp_path / ".env").write_text("MLOPS_ACTOR=ada\nOTHER_TOOL=1\n")
    assert read_settings().actor == "ada"
    assert read_settings().home == tmp_path / "data" / "home"
    (tmp_path / ".env").write_text("MLOPS_ACTRO=ada\n")
    with pytest.raises(ConfigError, match="MLOPS_ACTRO"):
        read_settings()


def test_a_family_is_found_by_name() -> None:
    assert isinstance(load_family("baseline"), Family)
    with pytest.raises(ConfigError, match=r"'telepathy'.*baseline"):
        load_family("telepathy")


def test_a_missing_package_is_reported_as_itself() -> None:
    with (
        pytest.raises(MissingExtra, match=r"'no_such_package'.*mlops_assets\[speech\]"),
        vendor_packages("speech"),
    ):
        raise ModuleNotFoundError("No module named 'no_such_package'", name="no_such_package.deep")
    with pytest.raises(ModuleNotFoundError), vendor_packages("speech"):
        raise ModuleNotFoundError("No module named 'mlops_assets.lost'", name="mlops_assets.lost")


def test_the_shipped_lines_are_valid() -> None:
    assert "speech" in {line.line for line in read_lines()}


def test_another_line_is_one_more_file(lines_folder: Path) -> None:
    declare(lines_folder, "sorting.yaml")
    declare(lines_folder, "other/defs.yaml", line="other")
    names = [line.line for line in read_lines()]
    assert names[-2:] == ["other", "sorting"]


def test_a_line_may_read_the_environment(lines_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = {"path": "{{ env('GOLDEN', 'golden') }}", "origin": "synthetic"}
    path = declare(lines_folder, "sorting.yaml", golden=golden)
    assert next(lines_in(path)).golden.path == "golden"
    monkeypatch.setenv("GOLDEN", "elsewhere")
    assert next(lines_in(path)).golden.path == "elsewhere"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"polcy": 1}, r"sorting\.yaml is wrong.*attributes\.polcy"),
        ({"policy": {"primary": {"metric": "accuracy", "margn": 0.1}}}, r"sorting\.yaml.*policy\.primary\.margn"),
        ({"config": {"smothing": 0.1}}, r"sorting\.yaml.*config\.smothing"),
        ({"family": "telepathy"}, r"no family 'telepathy'"),
        ({"description": "{{ env('NOT_SET_AT_ALL') }}"}, r"NOT_SET_AT_ALL"),
        ({"description": "{{ nope }}"}, r"sorting\.yaml.*nope"),
    ],
)
def test_a_mistake_names_file_and_key(lines_folder: Path, changes: dict[str, object], message: str) -> None:
    declare(lines_folder, "sorting.yaml", **changes)
    with pytest.raises(ConfigError, match=message):
        read_lines()


PARTS = {
    "release": Release,
    "monitoring": Monitoring,
    "serving": Serving,
    "collection": Collection,
    "triggers": Triggers,
}
NUMBERS = [
    (part, name)
    for part, model in PARTS.items()
    for name, field in model.model_fields.items()
    if field.annotation is not bool and isinstance(field.default, int | float)
]


@pytest.mark.parametrize(("part", "name"), NUMBERS)
def test_a_number_is_a_number_that_can_be_reckoned_with(lines_folder: Path, part: str, name: str) -> None:
    for wrong in (float("inf"), float("nan"), True, -1, "many"):
        path = declare(lines_folder, "sorting.yaml", **{part: {name: wrong}})
        with pytest.raises(ConfigError, match=rf"sorting\.yaml is wrong. attributes\.{part}\.{name}"):
            list(lines_in(path))


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("monitoring", "window_minutes"),
        ("monitoring", "health_check_interval_seconds"),
        ("release", "max_hours"),
        ("release", "min_minutes"),
        ("triggers", "retrain_interval_hours"),
        ("serving", "timeout_seconds"),
        ("serving", "max_body_mb"),
    ],
)
def test_a_time_that_no_calendar_has_is_refused(lines_folder: Path, part: str, name: str) -> None:
    path = declare(lines_folder, "sorting.yaml", **{part: {name: 1e9}})
    with pytest.raises(ConfigError, match=rf"attributes\.{part}\.{name}: Input should be less than or equal to"):
        list(lines_in(path))


PRIMARY = {"metric": "accuracy", "margin": 0.01}
TRADE = {"metric": "error", "gain": 0.0, "loss": 0.01}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"primary": {"metric": "wer", "margin": 0.1}}, r"policy\.primary\.metric.*no metric 'wer'.*accuracy, error"),
        ({"business": [{"metric": "f1", "margin": 0}]}, r"policy\.business\.0\.metric.*no metric 'f1'"),
        ({"protected": [{"metric": "f1", "margin": 0, "slice": "a"}]}, r"policy\.protected\.0\.metric.*'f1'"),
        ({"retrain_with": [{"memory": 0.2}, {"memry": 0.2}]}, r"policy\.retrain_with\.1\.memry"),
        ({"retrain_with": [{"memory": 7}]}, r"policy\.retrain_with\.0\.memory"),
        ({"analyst_may_approve_within": [TRADE]}, r"policy\.analyst_may_approve_within: .*there is none"),
        (
            {"analyst_may_approve_within": [TRADE | {"metric": "f1"}], "analyst": {"model": "openai:gpt-4o"}},
            r"policy\.analyst_may_approve_within\.0\.metric.*'f1'",
        ),
        ({"alpha": 1e-6}, r"policy\.alpha: .*takes too long"),
    ],
)
def test_a_policy_that_the_line_cannot_keep_is_refused_with_its_key(
    lines_folder: Path, policy: dict[str, object], message: str
) -> None:
    declare(lines_folder, "sorting.yaml", policy={"primary": PRIMARY, **policy})
    with pytest.raises(ConfigError, match=rf"sorting\.yaml is wrong\. {message}"):
        read_lines()


def test_another_policy_is_read_whole_or_merged_and_checked_against_the_line(
    lines_folder: Path, tmp_path: Path
) -> None:
    declare(lines_folder, "sorting.yaml", policy={"primary": PRIMARY, "alpha": 0.1, "gates": {"max_latency_ratio": 3}})
    line = next(each for each in read_lines() if each.line == "sorting")
    assert declared_in("sorting") == lines_folder / "sorting.yaml"
    assert declared_in("nowhere") is None
    file = tmp_path / "other.yaml"

    file.write_text(yaml.safe_dump({"gates": {"max_size_ratio": 2}}))
    merged = read_policy(file, line, merge=True)
    assert (merged.alpha, merged.gates.max_latency_ratio, merged.gates.max_size_ratio) == (0.1, 3, 2)
    with pytest.raises(ConfigError, match=r"other\.yaml is wrong\. policy\.primary: Field required"):
        read_policy(file, line)

    file.write_text(yaml.safe_dump({"primary": PRIMARY}))
    assert read_policy(file, line).alpha == 0.05
    assert read_policy(lines_folder / "sorting.yaml", line) == line.policy
    for wrong, message in (
        ({"primary": {"metric": "wer", "margin": 0}}, r"policy\.primary\.metric.*'wer'"),
        ({"primary": PRIMARY, "gates": {"max_sise": 1}}, r"policy\.gates\.max_sise"),
        ([1], "holds no policy for sorting"),
    ):
        file.write_text(yaml.safe_dump(wrong))
        with pytest.raises(ConfigError, match=message):
            read_policy(file, line)
    file.write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_policy(file, line)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_policy(tmp_path / "absent.yaml", line)


def test_two_lines_of_one_name_are_refused(lines_folder: Path) -> None:
    declare(lines_folder, "a.yaml")
    declare(lines_folder, "b.yaml")
    with pytest.raises(ConfigError, match=r"b\.yaml.*a\.yaml.*'sorting'"):
        read_lines()


def test_a_file_that_is_no_yaml_is_named(lines_folder: Path) -> None:
    (lines_folder / "bad.yaml").write_text("type: [")
    with pytest.raises(ConfigError, match=r"bad\.yaml is not YAML"):
        read_lines()


def test_dagsters_configuration_is_written_once(tmp_path: Path) -> None:
    target = dagster_home(tmp_path) / "dagster.yaml"
    assert "granularity: run" in target.read_text()
    target.write_text("# mine\n")
    dagster_home(tmp_path)
    assert target.read_text() == "# mine\n"


def test_a_platform_is_made_from_settings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    platform = open_platform()
    assert platform.home == tmp_path
    assert platform.store.has(platform.store.put_bytes(b"kept"))
    assert platform.batches.list("speech") == []
