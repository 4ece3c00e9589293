"""The compiled half."""

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any, final

__all__ = [
    'Config',
    'Core',
    'Driver',
    'Feed',
    'Limits',
    'Lines',
    'Operation',
    'PYTHON_ARGS',
    'PoolRun',
    'Queue',
    'Search',
    'Secrets',
    'Stream',
    'Task',
    '__version__',
    'close_all',
    'forget_engine',
    'loads',
    'next_line',
    'pdecode',
    'resume_engine',
    'run_all',
    'start_all',
    'stop_engine',
    'stop_lines',
    'write_unraisable',
]
PYTHON_ARGS: list[str]
__version__: str
_Path = str | PathLike[str]
#: The seconds that are left, of those that were given.
_Within = tuple[float, float]
_Outcome = tuple[Any, BaseException | None]

@final
class Config:
    def __new__(cls, search: Search, depth_limit: int) -> Config: ...

@final
class Search:
    def __new__(
        cls,
        find: Callable[[str], tuple[int, str, bytes, list[str]] | None],
        data: Callable[[str, str], bytes | None],
    ) -> Search: ...
    def set(self, paths: list[str], placed: list[tuple[str, str]], has_finders: bool) -> None: ...

@final
class Driver:
    @staticmethod
    def argv(host: str, words: Callable[[], list[str]]) -> Driver: ...
    @staticmethod
    def command(host: str, words: Iterable[str], python: str) -> Driver: ...
    @staticmethod
    def container(
        engine: str, program: str, host: str, image: str, rm: bool, args: Iterable[str], python: str
    ) -> Driver: ...
    @staticmethod
    def local(host: str, python: str) -> Driver: ...
    @staticmethod
    def program(
        kind: str,
        host: str,
        place: str,
        settings: list[tuple[str, str]],
        args: list[str],
        program: str | None,
        python: str,
    ) -> Driver: ...
    @staticmethod
    def ssh(
        host: str, user: str | None, port: int | None, sudo: bool, config_file: str | None, python: str
    ) -> Driver: ...
    @staticmethod
    def sudo(host: str, user: str, python: str) -> Driver: ...
    def words(self) -> list[str]: ...

@final
class Operation:
    @staticmethod
    def call(function: str, message: list[Any], imports: list[str] | None) -> Operation: ...
    def reading(self, feed: Feed) -> Operation: ...
    @staticmethod
    def close() -> Operation: ...
    @staticmethod
    def connect() -> Operation: ...
    @staticmethod
    def fetch(remote: _Path, local: Mapping[str, _Path], if_changed: bool, resume: bool) -> Operation: ...
    @staticmethod
    def fetch_dir(
        remote: _Path, local: Mapping[str, _Path], if_changed: bool, delete: bool, exclude: list[str]
    ) -> Operation: ...
    @staticmethod
    def put(
        local: _Path, remote: _Path | None, mode: int | None, if_changed: bool, resume: bool
    ) -> Operation: ...
    @staticmethod
    def put_dir(
        local: _Path, remote: _Path, if_changed: bool, delete: bool, exclude: list[str]
    ) -> Operation: ...

@final
class Core:
    def __new__(
        cls,
        driver: Driver,
        config: Config,
        stderr: Lines,
        parent: Core | None,
        secrets: Secrets | None,
        retries: tuple[int, float | None],
    ) -> Core: ...
    def forget(self) -> None: ...
    def python(self) -> tuple[int, int] | None: ...
    def start(
        self, operation: Operation, done: Callable[[Any, BaseException | None], object], timeout: _Within | None = None
    ) -> Task: ...
    def run(self, operation: Operation, timeout: _Within | None = None) -> Any: ...

@final
class Lines:
    def __new__(cls, handler: Callable[[str, str], object]) -> Lines: ...
    def is_idle(self) -> bool: ...
    def wait(self, seconds: float) -> bool: ...

@final
class Stream:
    def __new__(
        cls,
        cores: list[Core],
        operation: Operation,
        timeout: _Within | None = None,
        item_timeout: float | None = None,
        feeds: list[Feed] | None = None,
    ) -> Stream: ...
    def close(self) -> None: ...
    def next(self, timeout: _Within | None = None) -> list[tuple[int, Any, BaseException | None]] | None: ...
    def start_next(self, done: Callable[[Any, BaseException | None], object]) -> Task: ...

@final
class PoolRun:
    def __new__(
        cls,
        cores: list[Core],
        limits: Limits | None,
        operation: Operation,
        feed: Feed,
        per_host: int,
        attempts: int,
        ahead: int,
        item_timeout: float | None,
        max_failures: int | None,
        max_buffered: int,
        window: int | None,
        is_recorded: bool,
    ) -> PoolRun: ...
    def add(self, cores: list[Core]) -> None: ...
    def close(self) -> None: ...
    def counts(self) -> tuple[int, int]: ...
    def lost(self) -> list[tuple[str, BaseException]]: ...
    def next(
        self, timeout: _Within | None = None
    ) -> list[tuple[int, str | None, int, Any, BaseException | None]] | None: ...
    def remove(self, host: str) -> bool: ...
    def start_next(self, done: Callable[[Any, BaseException | None], object]) -> Task: ...
    def svg(self) -> str | None: ...

@final
class Limits:
    def __new__(
        cls,
        max_connecting: int | None,
        max_running: int | None,
        batch: str | None,
        max_failures: str | None,
        per_batch: bool,
        host_timeout: float | None,
    ) -> Limits: ...

@final
class Feed:
    def __new__(cls) -> Feed: ...
    def close(self) -> None: ...
    def end(self) -> None: ...
    def offer(self, format: int, item: bytes) -> bool | None: ...
    def put(self, format: int, item: bytes) -> bool: ...
    def start_gone(self, done: Callable[[Any, BaseException | None], object]) -> Task: ...
    def start_put(
        self, format: int, item: bytes, done: Callable[[Any, BaseException | None], object]
    ) -> Task: ...

@final
class Secrets:
    def __new__(
        cls,
        password: str | Callable[[str], str | None] | None,
        sudo_password: str | Callable[[str], str | None] | None,
    ) -> Secrets: ...

@final
class Task:
    def cancel(self) -> None: ...

@final
class Queue:
    def __new__(cls, limits: Limits | None = None) -> Queue: ...
    def svg(self) -> str | None: ...
    def __len__(self) -> int: ...
    def next(self, timeout: _Within | None = None) -> tuple[int, list[_Outcome]] | None: ...
    def finish(self) -> None: ...
    def start_next(self, done: Callable[[Any, BaseException | None], object]) -> Task: ...
    def push(self, cores: list[Core], operation: Operation, number: int) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> list[tuple[int, list[_Outcome]]]: ...

def close_all(cores: list[Core]) -> None: ...
def forget_engine() -> list[int]: ...
def loads(data: bytes) -> Any: ...
def pdecode(data: bytes) -> Any: ...
def resume_engine() -> None: ...
def run_all(
    cores: list[Core],
    operation: Operation,
    timeout: _Within | None = None,
    limits: Limits | None = None,
    tick: Callable[[int], object] | None = None,
) -> list[_Outcome]: ...
def start_all(
    cores: list[Core],
    operation: Operation,
    done: Callable[[Any, BaseException | None], object],
    timeout: _Within | None = None,
    limits: Limits | None = None,
) -> Task: ...
def stop_engine() -> None: ...
def next_line(last: Lines | None = None) -> tuple[Lines, Callable[[str, str], object], str, str, bool] | None: ...
def stop_lines() -> None: ...
def write_unraisable(exception: BaseException, object: object) -> None: ...
