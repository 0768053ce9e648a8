"""Malformed requests to the listener, and receive and send killed at random moments.

    python -m pipelines.intake.network_damage [--requests 500] [--kills 20] [--seed 0]

Everything runs on this machine's loopback. Requests: an association request, a C-STORE and a
release, damaged in one to three ways as damage.py damages files, each with an image of its own.
Kills: SIGKILL while images come in, are classified and answered, and while files are sent; the
command is started again each time, and once more at the end without a kill. Prints, for each, what
was tried, refused, read, lost (a success was said and the image is not there, or a file never
arrived) and doubled (one UID on two files or contents, or two results of one image).
"""

import argparse
import io
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import pydicom
import yaml
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_RELEASE_RQ, P_DATA_TF

from medinv.net.inbox import Inbox
from medinv.net.listener import listening
from medinv.net.settings import Caller, DicomPeer, Network
from pipelines.intake.damage import DAMAGE
from pipelines.record import ROOT, Table, record

HERE, SENDER, OURS = "127.0.0.1", "SCANNER", "MEDINV"
COLUMNS = ("what", "tried", "refused", "read", "lost", "doubled")
SMALL = Path(str(get_testdata_file("CT_small.dcm", download=False)))
RADIOGRAPH = ROOT / "sample_data" / "studies" / "study-08"  # of an opacity, uncompressed
_SUCCESS = bytes.fromhex("00000009 02000000 0000")  # the element Status of a command set
_PATIENCE = 1800.0  # s for a command to start or to finish


@dataclass
class Counts:
    """What became of so many tries."""

    tried: int = 0
    refused: int = 0
    read: int = 0
    lost: int = 0
    doubled: int = 0


def image(number: int, source: Path = SMALL) -> Dataset:
    """A small CT image, or that of a file, in a study of its own."""
    made = pydicom.dcmread(source)
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.1.1"
    return made


def malformed(count: int, seed: int) -> Counts:
    """Requests to a listener that keeps images in a folder.

    A sound caller is served after each fifty.
    """
    chance, counts, said = random.Random(seed), Counts(tried=count), set[str]()
    network = Network(port=free_port())
    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder))
        with listening(network, (Caller(ae_title=SENDER, address=HERE),), inbox.keep):
            for number in range(count):
                sent = image(number)
                if _damaged_store(network.port, sent, chance):
                    said.add(sent.SOPInstanceUID)
                    counts.read += 1
                else:
                    counts.refused += 1
                if number % 50 == 49 and not _stored(network.port, image(count + number)):
                    raise RuntimeError(f"a sound caller was not served after {number + 1} requests")
        there = _uids(Path(folder))
    counts.lost = len(said - set(there))  # a UID that was hit by the damage is not among those
    counts.doubled = sum(len(paths) > 1 for paths in there.values())
    return counts


def _damaged_store(port: int, sent: Dataset, chance: random.Random) -> bool:
    """Whether the listener says that it has the image."""
    steps = [_request(sent.SOPClassUID), b"".join(_store_request(sent)), A_RELEASE_RQ().encode()]
    hit = chance.choice((0, 0, 1, 2))
    data = bytearray(steps[hit])
    for damage in chance.sample(DAMAGE, chance.randint(1, 3)):
        if data:
            damage(data, chance)
    steps[hit] = bytes(data)
    read = b""
    with socket.create_connection((HERE, port), timeout=30) as connection:
        try:
            for k, step in enumerate(steps):
                connection.sendall(step)
                if k == hit:  # whatever is announced, no more comes
                    connection.shutdown(socket.SHUT_WR)
                    while more := connection.recv(1 << 16):
                        read += more
                    break
                read += connection.recv(1 << 16)
        except ConnectionError:
            pass
    return _SUCCESS in read


def _request(sop_class: str) -> bytes:
    """An association request for one storage class."""

    def item(kind: int, value: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(value)) + value

    syntaxes = item(0x30, sop_class.encode()) + item(0x40, ExplicitVRLittleEndian.encode())
    body = struct.pack(">HH16s16s32x", 1, 0, OURS.ljust(16).encode(), SENDER.ljust(16).encode())
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, b"\x01\0\0\0" + syntaxes)
    body += item(0x50, item(0x51, struct.pack(">I", 16382)) + item(0x52, b"1.2.3.4"))
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _store_request(sent: Dataset) -> Iterator[bytes]:
    """The PDUs of a C-STORE."""
    primitive, message = C_STORE(), C_STORE_RQ()
    primitive.MessageID, primitive.Priority = 1, 2
    primitive.AffectedSOPClassUID = sent.SOPClassUID
    primitive.AffectedSOPInstanceUID = sent.SOPInstanceUID
    primitive.DataSet = io.BytesIO(encode(sent, False, True) or b"")
    message.primitive_to_message(primitive)
    for data in message.encode_msg(1, 16382):
        yield P_DATA_TF(data).encode()


def _stored(port: int, sent: Dataset) -> bool:
    """Whether a sound caller's image is taken."""
    ae = AE(SENDER)
    ae.add_requested_context(sent.SOPClassUID, ExplicitVRLittleEndian)
    association = ae.associate(HERE, port, ae_title=OURS)
    try:
        if not association.is_established:
            return False
        return association.send_c_store(sent).get("Status") == 0
    except (RuntimeError, ValueError):  # it ended meanwhile
        return False
    finally:
        if association.is_established:
            association.release()


def _uids(folder: Path) -> dict[str, list[Path]]:
    """The images below a folder by SOP Instance UID. Raises when one is not whole."""
    found = defaultdict(list)
    for path in folder.rglob("studies/*/images/*.dcm"):
        found[str(pydicom.dcmread(path).SOPInstanceUID)].append(path)
    return found


def killed_receive(kills: int, seed: int, model: str) -> Counts:
    """Images keep coming while the service is killed and started again.

    Each is to be answered once.
    """
    chance, (source,) = random.Random(seed), RADIOGRAPH.glob("*.dcm")
    images = [image(number, source) for number in range(kills)]
    counts, said, done = Counts(tried=kills), set[str](), threading.Event()
    with tempfile.TemporaryDirectory() as temporary, _archive() as (archive, objects):
        settings = archive.model_copy(
            update={
                "ae_title": OURS,
                "port": free_port(),
                "callers": (Caller(ae_title=SENDER, address=HERE),),
                "peers": {"pacs": DicomPeer(ae_title="PACS", address=HERE, port=archive.port)},
                "answer_to": "pacs",
                "quiet_seconds": 0.2,
            }
        )
        folder, network = Path(temporary) / "in", Path(temporary) / "network.yaml"
        network.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        words = ("receive", "--network", network, "--model", model, "--folder", folder)

        def send_all() -> None:
            for sent in images:
                while not _stored(settings.port, sent) and not done.wait(0.05):
                    pass
                said.add(sent.SOPInstanceUID)
                if done.wait(chance.uniform(0.0, 10.0)):
                    return

        sender = threading.Thread(target=send_all)
        sender.start()
        try:
            for _ in range(kills):
                with _command(*words, until="listens") as process:
                    time.sleep(chance.uniform(0.0, 3.0))
                    process.send_signal(signal.SIGKILL)
            with _command(*words, until="listens"):
                _wait(lambda: len(said) == len(images) and _answered(folder, len(images)))
        finally:
            done.set()
            sender.join()
        there, results = _uids(folder), [uids for uids in _results(objects).values()]
    counts.read = len(said)
    counts.lost = len(said - set(there)) + len(images) - len(results)
    counts.doubled = sum(len(paths) > 1 for paths in there.values())
    counts.doubled += sum(len(uids) > 1 for uids in results)
    return counts


def _answered(folder: Path, count: int) -> bool:
    states = list(folder.glob("studies/*/state.json"))
    return len(states) == count and all('"answered"' in path.read_text() for path in states)


def _results(objects: dict[str, list[Dataset]]) -> dict[str, set[str]]:
    """Structured reports by the study that they are of."""
    found = defaultdict(set)
    for kept in objects.values():
        for one in kept:
            if one.Modality == "SR":
                found[str(one.StudyInstanceUID)].add(str(one.SOPInstanceUID))
    return found


def killed_send(kills: int, seed: int) -> Counts:
    """Files are sent while the command is killed; then all of them once more."""
    chance, counts = random.Random(seed), Counts(tried=kills)
    with tempfile.TemporaryDirectory() as temporary, _archive(0.02) as (archive, objects):
        folder, uids = Path(temporary), set[str]()
        for number in range(100):
            image(number).save_as(folder / f"{number:03d}.dcm")
            uids.add(image(number).SOPInstanceUID)
        words = ("send", folder, "--to", f"PACS@{HERE}:{archive.port}")
        for _ in range(kills):
            before = sum(map(len, objects.values()))
            with _command(*words) as process:
                _wait(lambda before=before: sum(map(len, objects.values())) > before)
                time.sleep(chance.uniform(0.0, 2.0))
                process.send_signal(signal.SIGKILL)
        with _command(*words) as process:
            if process.wait(_PATIENCE) != 0:
                raise RuntimeError("send failed without being killed")
        counts.read = len(objects)
        counts.lost = len(uids - set(objects))
        counts.doubled = sum(any(one != kept[0] for one in kept) for kept in objects.values())
    return counts


@contextmanager
def _archive(seconds: float = 0.0) -> Iterator[tuple[Network, dict[str, list[Dataset]]]]:
    """One that keeps every object it is sent, by UID, and takes so long over each."""
    objects, network = defaultdict(list), Network(ae_title="PACS", port=free_port())

    def keep(header: Dataset, data: bytes) -> None:
        time.sleep(seconds)
        objects[str(header.SOPInstanceUID)].append(pydicom.dcmread(io.BytesIO(data)))

    with listening(network, (Caller(ae_title=OURS, address=HERE),), keep):
        yield network, objects


@contextmanager
def _command(*words: object, until: str = "") -> Iterator[subprocess.Popen]:
    """`medinv ...` as a process, when it has said so much; killed at the end."""
    command = [sys.executable, "-u", "-m", "medinv", *map(str, words)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)

        def begun() -> bool:
            said.seek(0)
            text = said.read()
            if process.poll() is not None and until:
                raise RuntimeError(f"{words[0]} ended by itself:\n{text}")
            return until in text

        try:
            _wait(begun)
            yield process
        finally:
            process.kill()
            process.wait(_PATIENCE)


def _wait(true: object) -> None:
    end = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.05)


def free_port() -> int:
    """A port of this machine that nobody holds."""
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return probe.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20, help="of receive, and as many of send")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="phantom-opacity")
    arguments = parser.parse_args()
    began = time.monotonic()
    rows = {"malformed requests": malformed(arguments.requests, arguments.seed)}
    print(rows, flush=True)
    rows["send killed"] = killed_send(arguments.kills, arguments.seed)
    print(rows, flush=True)
    rows["receive killed"] = killed_receive(arguments.kills, arguments.seed, arguments.model)
    bad = sum(counts.lost + counts.doubled for counts in rows.values())
    page = record(
        "intake-network-damage",
        title="Malformed requests, and receive and send killed",
        claim=f"Images lost or doubled: {bad}.",
        tables=[
            Table(
                "What became of them",
                COLUMNS,
                [[what, *map(str, astuple(counts))] for what, counts in rows.items()],
                "Of kills: `tried` counts kills, `read` the images that arrived.",
            )
        ],
        made={
            "command": "python -m pipelines.intake.network_damage " + " ".join(sys.argv[1:]),
            "seed": arguments.seed,
            "seconds": round(time.monotonic() - began),
        },
    )
    print(page.read_text())
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
