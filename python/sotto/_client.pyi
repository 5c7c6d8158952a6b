"""The C++ library, half of clients. Use sotto.client."""
from typing import Optional

import numpy as np
import numpy.typing as npt

from ._files import Source
from ._progress import Callback
from ._server import Buffer as Buffer
from ._server import ClientSpec as ClientSpec

class SecretKey:
    @staticmethod
    def generate() -> SecretKey: ...
    @staticmethod
    def read(path: str, /) -> SecretKey: ...
    def write(self, path: str, replace: bool) -> None: ...
    @property
    def id(self) -> str: ...

class Client:
    def __init__(self, spec: ClientSpec, key: SecretKey, /) -> None: ...
    def write_evaluation_keys(self, path: Optional[str], progress: Optional[Callback]) -> Buffer: ...
    def encrypt(self, images: npt.NDArray[np.generic], path: Optional[str],
                progress: Optional[Callback]) -> tuple[Buffer, str]: ...
    def decrypt(self, reply: Source, flood: float, progress: Optional[Callback]
                ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32], list[int], str, str]: ...
