"""Malformed requests to the listener, and receive and send killed at random moments.

Everything runs on this machine's loopback. Requests: an association request, a C-STORE and a
release, damaged in one to three ways as harm.py damages files, each with an image of its own.
Kills: SIGKILL while images come in, are classified and answered, and while files are sent; the
command is started again each time, and once more at the end without a kill. Counted for each:
what was tried, refused, read, lost (a success was said and the image is not there, or a file never
arrived) and doubled (one UID on two files or contents, or two results of one image).
"""

import io
import random
import signal
import socket
import struct
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
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
from pipelines.intake.commands import PATIENCE, command, wait
from pipelines.intake.harm import DAMAGE, Counts

HERE, SENDER, OURS = "127.0.0.1", "SCANNER", "MEDINV"
SMALL = Path(str(get_testdata_file("CT_small.dcm", download=False)))
FILES, SLOW = 40, 0.05  # of send, and the seconds that the archive takes over each
LONGEST_LIFE = 6.0  # s that receive lives after it listens: an image is answered in a few
_SUCCESS = bytes.fromhex("00000009 02000000 0000")  # the element Status of a command set


def image(number: int) -> Dataset:
    """A small CT image in a study of its own."""
    made = pydicom.dcmread(SMALL)
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
                if number % 50 == 49 and not stored(network.port, image(count + number)):
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


def stored(port: int, sent: Dataset) -> bool:
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


def service(peer: Network, folder: Path, model: Path) -> tuple[Network, tuple[str | Path, ...]]:
    """The settings of a `medinv receive` that answers to an archive and keeps what it is sent in
    `folder`, and its command.
    """
    settings = peer.model_copy(
        update={
            "ae_title": OURS,
            "port": free_port(),
            "callers": (Caller(ae_title=SENDER, address=HERE),),
            "peers": {"pacs": DicomPeer(ae_title="PACS", address=HERE, port=peer.port)},
            "answer_to": "pacs",
            "quiet_seconds": 0.2,
        }
    )
    network = folder.with_suffix(".yaml")
    network.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    return settings, ("receive", "--network", network, "--model", model, "--folder", folder)


def killed_receive(kills: int, seed: int, model: Path) -> Counts:
    """Images keep coming while the service is killed and started again.

    Each is to be answered once. Raises TimeoutError where they are not all settled in time.
    """
    chance, images = random.Random(seed), [image(number) for number in range(kills)]
    counts, said, done = Counts(tried=kills), set[str](), threading.Event()
    with tempfile.TemporaryDirectory() as temporary, archive() as (peer, objects):
        folder = Path(temporary) / "in"
        settings, words = service(peer, folder, model)

        def send_all() -> None:
            for sent in images:
                while not stored(settings.port, sent):
                    if done.wait(0.05):
                        return
                said.add(sent.SOPInstanceUID)
                if done.wait(chance.uniform(0.0, 1.0)):
                    return

        sender = threading.Thread(target=send_all)
        sender.start()
        try:
            for _ in range(kills):
                with command(*words, until="listens") as process:
                    time.sleep(chance.uniform(0.0, LONGEST_LIFE))
                    process.send_signal(signal.SIGKILL)
            with command(*words, until="listens"):
                wait(lambda: settled(folder) == len(images), "all images to be answered")
        finally:
            done.set()
            sender.join()
        there, results = _uids(folder), list(_results(objects).values())
    counts.read = len(results)
    counts.lost = len(said - set(there)) + len(images) - len(results)
    counts.doubled = sum(len(paths) > 1 for paths in there.values())
    counts.doubled += sum(len(uids) > 1 for uids in results)
    return counts


def settled(folder: Path) -> int:
    """Studies that were answered, or failed."""
    states = [path.read_text() for path in folder.glob("studies/*/state.json")]
    return sum('"answered"' in state or '"failed"' in state for state in states)


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
    with tempfile.TemporaryDirectory() as temporary, archive(SLOW) as (peer, objects):
        folder, uids = Path(temporary), set[str]()
        for number in range(FILES):
            image(number).save_as(folder / f"{number:03d}.dcm")
            uids.add(image(number).SOPInstanceUID)
        words = ("send", folder, "--to", f"PACS@{HERE}:{peer.port}")
        for _ in range(kills):
            before = sum(map(len, objects.values()))
            with command(*words) as process:
                wait(lambda before=before: sum(map(len, objects.values())) > before, "a file")
                time.sleep(chance.uniform(0.0, FILES * SLOW))
                process.send_signal(signal.SIGKILL)
        with command(*words) as process:
            if process.wait(PATIENCE) != 0:
                raise RuntimeError("send failed without being killed")
        counts.read = len(objects)
        counts.lost = len(uids - set(objects))
        counts.doubled = sum(any(one != kept[0] for one in kept) for kept in objects.values())
    return counts


@contextmanager
def archive(seconds: float = 0.0) -> Iterator[tuple[Network, dict[str, list[Dataset]]]]:
    """One that keeps every object it is sent, by UID, and takes so long over each."""
    objects, network = defaultdict(list), Network(ae_title="PACS", port=free_port())

    def keep(header: Dataset, data: bytes) -> None:
        time.sleep(seconds)
        objects[str(header.SOPInstanceUID)].append(pydicom.dcmread(io.BytesIO(data)))

    with listening(network, (Caller(ae_title=OURS, address=HERE),), keep):
        yield network, objects


def free_port() -> int:
    """A port of this machine that nobody holds."""
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return probe.getsockname()[1]
