"""The verb that shows a folder of deltas in a browser while the notebook goes on."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.engine import without_deltas
from deltanb.reports import Outcome
from deltanb.workbench._core import Core

if TYPE_CHECKING:
    from pathlib import Path

    from deltanb.serving._server import Server

__all__ = ["Serve"]

_PORT = 8000


class Serve(Core):
    """The verb of `Core` that serves."""

    _server: Server | None = None

    def serve(self, folder: str | Path | None = None, *, port: int = _PORT, stop: bool = False) -> Outcome:
        """Serve a folder of deltas on a copy of the backbone, so that nothing done here changes an answer there.

        One server at a time: serving anew takes the place of the one before.

        Args:
            folder: holds saved deltas, a folder each.
            port: on this machine; 0: any free one.
            stop: end the server instead.

        Raises:
            DeltaError: no folder; no delta in it fits the backbone; the port is in use. A server that ran before goes on.
        """
        if stop:
            return self._stop_serving()
        if folder is None:
            raise DeltaError("There is no folder to serve.", expected="A folder that holds saved deltas.", try_="%delta serve deltas")
        from deltanb.serving import DeltaPool
        from deltanb.serving._app import App
        from deltanb.serving._server import Server

        with self.locked("serve"):
            backbone = self.backbone_in_use
            with without_deltas(backbone.model):
                model = copy.deepcopy(backbone.model)
            names = self.data_set.label_names if self.data_set is not None else None
            app = App(DeltaPool(dataclasses.replace(backbone, model=model), folder), names)
            before = self._server
            if before is not None and before.port == port:
                before.stop()
            self._server = Server(app, port).start()
            if before is not None:
                before.stop()
        facts = {"at": self._server.address, "deltas": ", ".join(app.pool.names), "backbone": f"a copy of {backbone.name}, as it is now"}
        bad = [f"{name} is not served: {problem}" for name, problem in app.pool.problems.items()]
        return Outcome(f"Serving {folder}.", facts, bad, next="%delta serve --stop", value=self._server)

    def _stop_serving(self) -> Outcome:
        server, self._server = self._server, None
        if server is None:
            return Outcome("Nothing is being served.", next="%delta serve deltas")
        server.stop()
        return Outcome("The server has ended.", {"was at": server.address})
