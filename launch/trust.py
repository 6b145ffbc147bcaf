"""The page by which a phone learns to trust this machine's authority: `make run LAN=1`.

It is the only thing served without encryption on the network, because a phone must fetch the
authority's certificate before it can check anything. Standard library only; it knows one file and
the port of the encrypted address, and nothing of the product behind it.
"""

import argparse
import ipaddress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Django's translations are not at hand here, so the page carries both languages itself.
PAGE = """<!doctype html>
<html lang="zh-Hans"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>信任本机证书 · Trust this machine</title></head>
<body>
<h1>让手机信任这台电脑</h1>
<ol>
<li><a href="/trust/ca.crt">下载证书</a>，核对指纹与电脑终端上显示的一致：<br>
<code>{fingerprint}</code></li>
<li>苹果手机：设置 → 通用 → VPN与设备管理 → 安装；
再到 设置 → 通用 → 关于本机 → 证书信任设置 → 打开开关。</li>
<li>安卓、鸿蒙手机：设置 → 搜索“CA 证书” → 从存储设备安装。</li>
<li>然后打开 <a href="{address}">{address}</a></li>
</ol>
<p>试用结束后请在手机上删除该证书。它只能用于局域网地址。</p>
<hr>
<h1>Let a phone trust this computer</h1>
<ol>
<li><a href="/trust/ca.crt">Download the certificate</a>; its fingerprint must be the one that the
computer shows.</li>
<li>iPhone: Settings → General → VPN &amp; Device Management → install; then Settings → General →
About → Certificate Trust Settings → switch it on.</li>
<li>Android, HarmonyOS: Settings → search for “CA certificate” → install from storage.</li>
<li>Then open <a href="{address}">{address}</a></li>
</ol>
<p>Remove it from the phone afterwards. It is good for local network addresses only.</p>
</body></html>
"""


class TrustHandler(BaseHTTPRequestHandler):
    """Answers `/`, `/trust/` and `/trust/ca.crt`, and nothing else."""

    server: "TrustServer"
    timeout = 10

    def do_GET(self) -> None:
        if self.path in ("/", "/trust", "/trust/"):
            page = PAGE.format(fingerprint=self.server.fingerprint, address=self._https_address())
            self._answer("text/html; charset=utf-8", page.encode())
        elif self.path == "/trust/ca.crt":
            self._answer("application/x-x509-ca-cert", self.server.certificate.read_bytes())
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET

    def _https_address(self) -> str:
        # The address by which this phone reached us: the Host header could say anything.
        reached = ipaddress.ip_address(self.connection.getsockname()[0])
        return f"https://{reached}:{self.server.https_port}/"

    def _answer(self, content_type: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: who fetched the certificate is nobody's business."""


class TrustServer(ThreadingHTTPServer):
    """The listener, with what its pages show."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], *, certificate: Path, fingerprint: str, https_port: int
    ) -> None:
        super().__init__(address, TrustHandler)
        self.certificate = certificate
        self.fingerprint = fingerprint
        self.https_port = https_port


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--https-port", type=int, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--fingerprint", required=True)
    options = parser.parse_args()
    TrustServer(
        ("0.0.0.0", options.port),
        certificate=options.certificate,
        fingerprint=options.fingerprint,
        https_port=options.https_port,
    ).serve_forever()


if __name__ == "__main__":
    main()
