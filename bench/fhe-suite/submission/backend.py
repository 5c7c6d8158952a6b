"""The server: this machine, or with SOTTO_SERVER=HOST:FOLDER another one, reached by ssh, with Sotto in FOLDER."""

import os
import pathlib
import shlex
import subprocess

from layout import USAGE, Ended, Problem, home, program


def call(*words):
    """Runs a program. What it says on stderr is shown; that is one line if it fails."""
    p = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if p.returncode < 0:
        raise Problem(1, f"{pathlib.Path(words[0]).name} was ended by signal {-p.returncode}")
    if p.returncode:
        raise Ended(p.returncode)


class Here:
    """The server's part on this machine: it works on the suite's files in place."""

    name = "this machine"

    def model(self, file):
        """The path of a network on the server."""
        return file

    def path(self, file):
        """The path, on the server, of a file of the suite."""
        return file

    def send(self, file):
        """Brings a file to the server."""

    def fetch(self, file):
        """Brings a file from the server."""

    def run(self, *words):
        """Runs sotto-server, which holds no code for secret keys, on the server."""
        call(program("sotto-server"), *words)


class Remote:
    """The same on another machine. Its files lie in FOLDER/build/fhe-suite as here below the suite's folder."""

    OPTIONS = ("-o", "BatchMode=yes")

    def __init__(self, where):
        self.name, _, self.folder = where.partition(":")
        if not self.name or not self.folder.startswith("/"):
            raise Problem(USAGE, f"SOTTO_SERVER is HOST:FOLDER with the folder of Sotto there, /...; not {where}")
        self.root = pathlib.Path.cwd()
        self.made = set()

    def model(self, file):
        """As of Here: the models of Sotto's folder are also there, others lie at the same path."""
        file = pathlib.Path(file).absolute()
        return f"{self.folder}/{file.relative_to(home())}" if file.is_relative_to(home()) else file

    def path(self, file):
        """As of Here."""
        return f"{self.folder}/build/fhe-suite/{pathlib.Path(file).absolute().relative_to(self.root)}"

    def shell(self, *words):
        """Runs a command on the server."""
        call("ssh", *self.OPTIONS, self.name, shlex.join(map(str, words)))

    def make_folder_of(self, file):
        """Makes the folder of a file on the server, once."""
        folder = os.path.dirname(self.path(file))
        if folder not in self.made:
            self.shell("mkdir", "-p", folder)
            self.made.add(folder)

    def send(self, file):
        """As of Here."""
        self.make_folder_of(file)
        target = self.path(file)
        call("scp", "-q", *self.OPTIONS, file, f"{self.name}:{target}.tmp")
        self.shell("mv", f"{target}.tmp", target)

    def fetch(self, file):
        """As of Here."""
        temporary = file.with_name(file.name + ".tmp")
        call("scp", "-q", *self.OPTIONS, f"{self.name}:{self.path(file)}", temporary)
        temporary.replace(file)

    def run(self, *words):
        """As of Here."""
        self.shell(f"{self.folder}/build/release/bin/sotto-server", *words)


def backend():
    """The server to use."""
    where = os.environ.get("SOTTO_SERVER")
    return Remote(where) if where else Here()
