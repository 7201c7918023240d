"""A stack that stays up with everything running, so that another shell can break it: `python -m rehearsal sandbox`."""

import json
import shutil
import signal
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from tempfile import mkdtemp

from contract import REHEARSALS, Store
from payments.clock import SYSTEM, Clock
from rehearsal.aws.faults import Cut, Kill, Lag, Lose, Restart
from rehearsal.drills.emulated.periodic import PeriodicTask
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.errors import ProjectError, RehearsalError
from rehearsal.workload.load import LoadGenerator
from simulator.vocabulary import FailureMode

NAME = "sandbox"
RATE = 2.0  # payments a second
RECENT = 20  # payments whose outcome `status` shows
CONTROL = "control"  # in the run's folder, a link to the socket, whose path must be short
ANSWER = 120.0  # seconds at most until a command is answered
WRITTEN = 0.5  # seconds at most until a payment is written


class Sandbox:
    """What the commands do; each method that `VERBS` names takes the words after its verb."""

    def __init__(self, environment: DrillEnvironment, load: LoadGenerator) -> None:
        self._environment, self._rehearsed, self._load = environment, environment.rehearsed, load
        self._killed: set[str] = set()
        self._regions = [site.region for site in environment.stack.sites]

    def do(self, words: Sequence[str]) -> str:
        """Carry out a command; returns what to print. Raises ProjectError if it is none."""
        verb, *rest = words or [""]
        work = VERBS.get(verb)
        if work is None or len(rest) != len(signature(work).parameters) - 1:
            raise ProjectError(f"sandbox {' '.join(words)}: must be one of: {', '.join(usage())}")
        return work(self, *rest)

    def cut(self, region: str) -> str:
        """Cut a region off."""
        self._rehearsed.faults.inject(Cut(self._region(region)))
        return f"{region} is cut off"

    def throttle(self, region: str) -> str:
        """Make a region's API answer 429."""
        self._rehearsed.faults.inject(Lose(self._region(region), "api", FailureMode.THROTTLED))
        return f"the API of {region} answers 429"

    def lag(self, store: str, seconds: str) -> str:
        """Delay the copies of a store, both ways."""
        if store not in [*Store] or not seconds.isdecimal():
            raise ProjectError(f"lag {store} {seconds}: must be one of {', '.join(Store)}, and whole seconds")
        for source, target in (self._regions, self._regions[::-1]):
            self._rehearsed.faults.inject(Lag(store, source, target, float(seconds)))
        return f"copies of the {store} are {seconds} s behind"

    def kill_writer(self) -> str:
        """Kill the writer's database server."""
        region = self._rehearsed.database.writer
        self._killed.add(region)
        self._rehearsed.faults.inject(Kill(region))
        return f"the writer in {region} is killed"

    def freeze_controller(self) -> str:
        """Stop the processes of the standby's controller."""
        observer = self._environment.observer
        region = observer.other(observer.active())
        count = self._environment.signal_drivers(region, signal.SIGSTOP)
        return f"the controller of {region} is frozen ({count} processes)"

    def heal(self) -> str:
        """End all faults. Moving back is the operator's task."""
        for region in self._regions:
            self._environment.signal_drivers(region, signal.SIGCONT)
        while self._killed:
            self._rehearsed.faults.inject(Restart(self._killed.pop()))
        self._environment.observer.direct.heal()
        return "everything is healed"

    def status(self) -> str:
        """What is broken, and how the client's last payments went."""
        faults, recent = self._rehearsed.faults, self._load.sent[-RECENT:]
        accepted = sum(each.acknowledged for each in recent)
        behind = [f"{lane['store']} {lane['lag_ms'] / 1000:.1f} s" for lane in self._rehearsed.copies.report()
                  if lane["lag_ms"]]
        lost = ", ".join(map(" in ".join, faults.lost()))
        return (f"clients are sent to {self._environment.resolve()[0]}; of their last {len(recent)} payments "
                f"{accepted} were accepted\n"
                f"cut off: {', '.join(faults.cut_off()) or 'no region'}; lost: {lost or 'nothing'}; "
                f"killed: {', '.join(self._killed) or 'nothing'}; copies behind: {', '.join(behind) or 'none'}")

    def _region(self, name: str) -> str:
        if name not in self._regions:
            raise ProjectError(f"region {name!r}: must be {' or '.join(self._regions)}")
        return name


VERBS: dict[str, Callable[..., str]] = {
    "cut": Sandbox.cut, "throttle": Sandbox.throttle, "lag": Sandbox.lag, "kill-writer": Sandbox.kill_writer,
    "freeze-controller": Sandbox.freeze_controller, "heal": Sandbox.heal, "status": Sandbox.status}


def usage() -> Iterator[str]:
    """Each command as it is typed."""
    for verb, work in VERBS.items():
        yield " ".join([verb, *(name.upper() for name in list(signature(work).parameters)[1:])])


@contextmanager
def listening(do: Callable[[Sequence[str]], str], folder: Path) -> Iterator[None]:
    """Answer commands, until the block ends, on a socket that only this user reaches and `folder` leads to."""
    class Handler(socketserver.StreamRequestHandler):
        """One command: a line of JSON with its words. The answer is its exit code, and what to print."""

        def handle(self) -> None:
            """Carry it out."""
            try:
                answer = [0, do(json.loads(self.rfile.readline()))]
            except (RehearsalError, OSError) as error:
                answer = [1, str(error)]
            self.wfile.write(json.dumps(answer).encode())

    home = Path(mkdtemp(prefix="tapstack-"))  # no other user may enter it
    server = socketserver.ThreadingUnixStreamServer(str(home / CONTROL), Handler)
    server.daemon_threads = True
    try:
        (folder / CONTROL).symlink_to(home / CONTROL)
        threading.Thread(target=server.serve_forever, name="sandbox", daemon=True).start()
        yield
        server.shutdown()
    finally:
        server.server_close()
        shutil.rmtree(home, ignore_errors=True)


def ask(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Give a command to the sandbox of the project in a folder; returns its exit code, and what to print."""
    control = folder / REHEARSALS / NAME / CONTROL
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(ANSWER)
        try:
            channel.connect(str(control.readlink()))
            channel.sendall(json.dumps(list(words)).encode() + b"\n")
            with channel.makefile() as answer:
                code, text = json.load(answer)
        except (OSError, ValueError):
            return 2, "no sandbox is up here: `make sandbox` starts one"
    return int(code), str(text)


@contextmanager
def recorded(load: LoadGenerator, file: Path, clock: Clock = SYSTEM) -> Iterator[None]:
    """Write each payment of the clients to a file, as `contract.PAYMENTS_FILE` says, until the block ends."""
    offset, done = clock.time() - clock.monotonic(), 0

    def write() -> None:
        nonlocal done
        sent = load.sent[done:]
        lines.writelines(json.dumps({"at": round(each.ended + offset, 3), "ok": each.acknowledged,
                                     "region": each.region}) + "\n" for each in sent)
        done += len(sent)

    with file.open("w", encoding="utf-8", buffering=1) as lines:
        task = PeriodicTask("payments", WRITTEN, write)
        task.start()
        try:
            yield
        finally:
            task.stop()
