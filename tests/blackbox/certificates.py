"""Certificates for tests, as OpenSSL's own command makes them: of a CA, of a server, of a client."""

import functools
import ssl
import subprocess
import tempfile

from lib import HOST, PATIENCE_S


def _openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=PATIENCE_S)


DAYS = 90  # testssl.sh finds fault with a certificate that ends soon


def make_ca(folder):
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS,
             "-subj", "/CN=CA of a test", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")


def make_certificate(folder, name, extensions):
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
    with open(f"{folder}/{name}.ext", "w", encoding="ascii") as file:
        file.write(extensions)
    _openssl("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/ca.pem",
             "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", DAYS, "-out", f"{folder}/{name}.pem",
             "-extfile", f"{folder}/{name}.ext")


def make_tls(folder):
    make_ca(folder)
    make_certificate(folder, "server", f"subjectAltName=DNS:localhost,IP:{HOST}\n"
                                       "crlDistributionPoints=URI:http://localhost/ca.crl\n")
    make_certificate(folder, "renewed", f"subjectAltName=DNS:localhost,IP:{HOST}\n")
    make_certificate(folder, "client", "extendedKeyUsage=clientAuth\n")


# What `serve` takes, once FOLDER is replaced.
TLS = ("--tls-cert", "FOLDER/server.pem", "--tls-key", "FOLDER/server.key")


@functools.cache
def made_once(make):
    """A folder with what `make` makes, for the whole program."""
    folder = tempfile.TemporaryDirectory(prefix="gearbox-certificates-")
    make(folder.name)
    return folder


def server_context():
    """For servers in Python, of those files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{made_once(make_tls).name}/server.pem", f"{made_once(make_tls).name}/server.key")
    return context
