"""Refreshed prices: gpuhunt itself, on a folder of catalogues and on a server of this machine."""

import http.server
import io
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from planner.catalog import cheapest_price, list_prices
from planner.catalog.price_store import REFRESHED, folder
from planner.pricelists.card_names import card_key
from planner.pricelists.hunted import NotRefreshed, refresh

pytest.importorskip("gpuhunt")

TODAY = date(2026, 11, 24)
HEADER = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags\n"
AWS = HEADER + (
    "p5.48xlarge,us-east-1,50.0,192,2048,8,H100,80,False,,nvidia,\n"
    "p5.48xlarge,us-west-2,40.0,192,2048,8,H100,80,False,,nvidia,\n"
    "p5.48xlarge,us-west-2,11.0,192,2048,8,H100,80,True,,nvidia,\n"
    "g6.xlarge,us-east-1,0.7,4,16,1,L4,24,False,,nvidia,\n"
    "m7.large,us-east-1,0.1,2,8,0,,,False,,,\n"
    "x9.large,us-east-1,9.0,2,8,1,Q9000,500,False,,nvidia,\n"
)
GCP = HEADER + (
    "a3-highgpu-8g,us-central1,70.0,208,1872,8,H100,80,False,,nvidia,\n"
    "a3-highgpu-8g,us-central1,30.0,208,1872,8,H100,80,False,,nvidia,gcp-dws-calendar-mode\n"
)


@pytest.fixture
def catalogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of catalogues, of 2026-11-20."""
    place = tmp_path / "catalogues"
    place.mkdir()
    for name, text in (("aws", AWS), ("gcp", GCP)):
        path = place / f"{name}.csv"
        path.write_text(text)
        noon = 1_795_176_000  # 2026-11-20 12:00 UTC
        os.utime(path, (noon, noon))
    monkeypatch.setenv("GPUHUNT_CATALOG_DIR", str(place))
    return place


def test_the_cheapest_region_of_each_machine_is_kept_with_its_day(catalogues: Path) -> None:
    done = refresh(TODAY)
    assert done.providers == ("aws", "gcp") and done.unknown_offers == 1
    found = {(r.provider, r.instance_type, r.pricing): r for r in done.rows}
    assert {key: r.price_usd_per_hour_instance for key, r in found.items()} == {
        ("aws", "p5.48xlarge", "on_demand"): 40.0,
        ("aws", "p5.48xlarge", "spot"): 11.0,
        ("aws", "g6.xlarge", "on_demand"): 0.7,
        ("gcp", "a3-highgpu-8g", "on_demand"): 70.0,
    }
    p5 = found["aws", "p5.48xlarge", "on_demand"]
    assert (p5.gpu_key, p5.gpus_per_instance, p5.region, p5.price_usd_per_gpu_hour) == ("h100-sxm", 8, "us-west-2", 5.0)
    assert (p5.as_of, p5.date_confidence) == (date(2026, 11, 20), "dated") and "aws.csv" in p5.source_url
    spot = cheapest_price("h100-sxm", 8, "spot", "aws")
    assert spot is not None and spot.price_usd_per_hour_instance == 11.0
    assert len(list_prices("h100-sxm", provider="aws")) == 2, "what was refreshed stands for what ships"
    assert list_prices("a10g", provider="aws"), "cards that were not refreshed keep their prices"


def test_a_provider_that_gives_nothing_keeps_its_last_refresh(catalogues: Path) -> None:
    refresh(TODAY)
    (catalogues / "gcp.csv").write_text("no catalogue")
    (catalogues / "aws.csv").write_text(AWS.replace("40.0", "39.0"))
    assert refresh(TODAY).providers == ("aws",)
    now = {r.provider: r.price_usd_per_hour_instance for r in list_prices("h100-sxm", 8, "on_demand")}
    assert (now["aws"], now["gcp"]) == (39.0, 70.0)


def test_nothing_known_in_the_catalogues_loses_nothing(catalogues: Path) -> None:
    refresh(TODAY)
    before = (folder() / REFRESHED).read_bytes()
    for path in catalogues.iterdir():
        path.write_text(HEADER)
    with pytest.raises(NotRefreshed):
        refresh(TODAY)
    assert (folder() / REFRESHED).read_bytes() == before


def test_an_empty_folder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUHUNT_CATALOG_DIR", str(tmp_path))
    with pytest.raises(NotRefreshed, match=r"holds no PROVIDER\.csv"):
        refresh(TODAY)


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpuhunt", None)
    with pytest.raises(NotRefreshed, match="pip install"):
        refresh(TODAY)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """aws alone is published here, as version 20261123-7; the other providers are not found."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("aws.csv", AWS)
    answers = {"/v3/aws/version": b"20261123-7", "/v3/aws/20261123-7/catalog.zip": packed.getvalue()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.delenv("GPUHUNT_CATALOG_DIR", raising=False)
        monkeypatch.setenv("GPUHUNT_CATALOG_URL", f"http://127.0.0.1:{running.server_port}/v3")
        yield f"http://127.0.0.1:{running.server_port}/v3"
        running.shutdown()


def test_a_published_catalogue_has_its_versions_day_and_address(server: str, capfd: pytest.CaptureFixture[str]) -> None:
    done = refresh(TODAY)
    assert done.providers == ("aws",)
    assert {row.as_of for row in done.rows} == {date(2026, 11, 23)}
    assert {row.source_url for row in done.rows} == {f"{server}/aws/20261123-7/catalog.zip"}
    assert capfd.readouterr().err == "", "gpuhunt's tracebacks on the providers that are not there stay unsaid"


def test_offline_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GPUHUNT_CATALOG_DIR", raising=False)
    monkeypatch.setenv("GPUHUNT_CATALOG_URL", "http://127.0.0.1:9/v3")
    with pytest.raises(NotRefreshed, match="could fetch nothing") as found:
        refresh(TODAY)
    assert "\n" not in found.value.message and capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("provider", "instance", "name", "memory", "key"),
    [
        ("aws", "p4d.24xlarge", "A100", 40, "a100-40gb-sxm"),
        ("aws", "p4de.24xlarge", "A100", 80, "a100-80gb-sxm"),
        ("aws", "p5en.48xlarge", "H200", 141, "h200-sxm"),
        ("azure", "Standard_NC24ads_A100_v4", "A100", 80, "a100-80gb-pcie"),
        ("azure", "Standard_NC40ads_H100_v5", "H100NVL", 94, "h100-nvl"),
        ("azure", "Standard_NV6ads_A10_v5", "A10", 4, None),
        ("gcp", "a2-megagpu-16g", "A100", 40, "a100-40gb-sxm"),
        ("lambda", "gpu_1x_h100_pcie", "H100", 80, "h100-pcie"),
        ("lambda", "gpu_1x_h100_sxm5", "H100", 80, "h100-sxm"),
        ("runpod", "NVIDIA A100-SXM4-80GB", "A100", 80, "a100-80gb-sxm"),
        ("runpod", "NVIDIA A100 80GB PCIe", "A100", 80, "a100-80gb-pcie"),
        ("runpod", "NVIDIA H100 80GB HBM3", "H100", 80, "h100-sxm"),
        ("oci", "BM.GPU4.8", "A100", 40, "a100-40gb-sxm"),
        ("verda", "8A100.176V", "A100", 80, "a100-80gb-sxm"),
        ("somebody", "gpu-1", "H100", 80, None),
        ("somebody", "gpu-1", "A100", 80, None),
        ("somebody", "gpu-1", "RTX4090", 24, "rtx-4090"),
        ("somebody", "gpu-1", "RTX4060Ti", 8, None),
        ("somebody", "gpu-1", "RTX4060Ti", 16, "rtx-4060-ti-16gb"),
        ("somebody", "gpu-1", "V100", 32, "v100-32gb"),
        ("somebody", "gpu-1", "A6000", 48, "rtx-a6000"),
        ("somebody", "gpu-1", "MI300X", 192, "mi300x"),
        ("somebody", "gpu-1", "Q9000", 24, None),
    ],
)
def test_names_of_cards_are_told_apart_or_left_out(
    provider: str, instance: str, name: str, memory: float, key: str | None
) -> None:
    assert card_key(provider, instance, name, memory) == key
