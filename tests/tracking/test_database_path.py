"""The database of MLflow lies in the storage, whatever the storage is called."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from rollbench.tracking import client


@pytest.mark.parametrize("name", ["why?", "x%20y", "a#b", "with space", "100%"])
def test_a_database_lies_where_its_storage_does(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(client, "_open", lambda uri, artifacts: opened.append(uri))
    client.open_tracking(f"sqlite:///{tmp_path / name}/mlflow.db")
    url: Any = make_url(opened[0])
    assert url.database == str(tmp_path / name / "mlflow.db") and not url.query
    assert (tmp_path / name / "mlflow.db").is_file()
