"""What is built for other machines carries everything that runs."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_carries_queries_migrations_and_the_demo_clip(tmp_path: Path) -> None:
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", "--local", ROOT, source], check=True)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("parley-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for package in ("parley", "gateway", "stream_engine", "batch"):
        missing = [
            path.relative_to(source).as_posix()
            for path in (source / package).rglob("*")
            if path.is_file() and path.relative_to(source).as_posix() not in names
        ]
        assert missing == []
    assert not [name for name in names if name.startswith("tests/")]
