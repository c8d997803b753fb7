"""A bundle's page in headless Chromium: a test's script runs in it and posts what it saw."""

import importlib.util
import json
import shutil
import subprocess
import threading
from pathlib import Path

from livestock_utils.assets import edge_runner

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
_FOUND = importlib.util.find_spec("axe_core_python")
AXE = Path(_FOUND.origin).with_name("axe.min.js") if _FOUND and _FOUND.origin else None
"""axe-core, the script that finds what a page keeps from readers with other senses."""
HELPERS = """
const told = {};
const until = async (met, what) => {
  for (let turn = 0; turn < 600; turn++) {
    if (met()) return;
    await new Promise((go) => setTimeout(go, 50));
  }
  throw new Error(`never: ${what}; the page says: ${document.body.innerText}`);
};
const said = () => document.getElementById("say").textContent;
const file = async (path, name = path) => new File([await (await fetch(path)).blob()], name);
const drop = (what) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(what);
  dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
};
addEventListener("securitypolicyviolation", (event) => { told.refused = event.blockedURI; });
(async () => {
  try {
    %s
  } catch (error) { told.error = String(error.stack || error); }
  await fetch("/told", { method: "POST", body: JSON.stringify(told) });
})();
"""


def run(
    bundle: Path, folder: Path, script: str, files=None, flags=(), page="/web/", timeout=100
) -> dict:
    """What `script` (it fills `told`) posts from the page of an unpacked bundle, with the paths
    that the browser asked for as "asked"; `files` (name -> bytes) lie beside the page."""
    server, answer, asked, done = edge_runner.page_server(bundle, port=0), {}, [], threading.Event()
    extra = {f"/web/{name}": data for name, data in (files or {}).items()}
    extra["/web/test.js"] = (HELPERS % script).encode()
    index = (Path(bundle) / "web" / "index.html").read_bytes()
    extra["/web/"] = index.replace(b"</body>", b'<script src="test.js"></script></body>')

    class Handler(server.RequestHandlerClass):  # type: ignore[name-defined]
        def do_GET(self):
            asked.append(self.path)
            if self.path not in extra:
                super().do_GET()
                return
            kind = {".js": "text/javascript"}.get(Path(self.path).suffix, "text/html")
            self.send_response(200)
            for name, value in {
                **edge_runner.HEADERS,
                "Content-Type": kind if self.path.endswith(("/", ".js")) else "image/x",
                "Content-Length": str(len(extra[self.path])),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(extra[self.path])

        def do_POST(self):
            answer.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

    server.RequestHandlerClass = Handler
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = subprocess.Popen(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--remote-debugging-port=0",
            "--window-size=1280,900",
            f"--user-data-dir={folder / 'profile'}",
            *flags,
            f"http://127.0.0.1:{server.server_address[1]}{page}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert done.wait(timeout), f"the page posted nothing in {timeout} s; it asked for {asked}"
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        server.server_close()
    assert "error" not in answer, answer["error"]
    return {**answer, "asked": asked}
