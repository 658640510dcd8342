"""The published Appwrite SDK for Python drives buckets, files, their contents and tokens at a node. Arguments: endpoint, project; the key is in ENLACE_APPWRITE_KEY."""

import hashlib
import os
import struct
import sys
import urllib.error
import urllib.parse
import urllib.request
import zlib

from appwrite.client import Client
from appwrite.enums.image_format import ImageFormat
from appwrite.enums.image_gravity import ImageGravity
from appwrite.exception import AppwriteException
from appwrite.id import ID
from appwrite.input_file import InputFile
from appwrite.permission import Permission
from appwrite.query import Query
from appwrite.role import Role
from appwrite.services.storage import Storage
from appwrite.services.tokens import Tokens

PART = 5 * 1024 * 1024


def client_of(endpoint, project, key=None):
    client = Client().set_endpoint(endpoint).set_project(project)
    return client.set_key(key) if key else client


def fetched(endpoint, project, file, secret):
    """The status and the content that somebody without a key gets."""
    query = urllib.parse.urlencode({"project": project, "token": secret})
    try:
        with urllib.request.urlopen(f"{endpoint}/storage/buckets/closed/files/{file}/download?{query}") as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def tokens_are_managed_and_used(endpoint, project, key):
    storage, tokens = Storage(client_of(endpoint, project, key)), Tokens(client_of(endpoint, project, key))
    guest = Tokens(client_of(endpoint, project))
    storage.create_bucket("closed", "Closed")
    storage.create_file("closed", "f", InputFile.from_bytes(b"shared text", filename="a.txt"))
    token = tokens.create_file_token("closed", "f", expire="2130-01-31")
    assert (token.resourceid, token.resourcetype, token.accessedat) == ("closed:f", "files", ""), token
    assert token.expire == "2130-01-31T00:00:00.000+00:00" and token.secret, token
    assert tokens.get(token.id).secret == token.secret
    assert tokens.create_file_token("closed", "f").expire == ""
    listed = tokens.list("closed", "f", queries=[Query.is_not_null("expire"), Query.order_desc("$createdAt")])
    assert (listed.total, [found.id for found in listed.tokens]) == (1, [token.id]), listed
    assert fetched(endpoint, project, "f", token.secret) == (200, b"shared text")
    assert fetched(endpoint, project, "f", token.secret[:-1])[0] == 401
    assert tokens.get(token.id).accessedat != ""
    assert tokens.update(token.id, expire="2131-01-31").secret == token.secret
    assert tokens.update(token.id).expire == ""
    refused(lambda: tokens.create_file_token("closed", "f", expire="2020-01-01"), 400, "general_argument_invalid")
    refused(lambda: guest.create_file_token("closed", "f"), 401, "general_unauthorized_scope")
    refused(lambda: guest.list("closed", "f"), 401, "general_unauthorized_scope")
    tokens.delete(token.id)
    assert fetched(endpoint, project, "f", token.secret)[0] == 401
    refused(lambda: tokens.delete(token.id), 404, "token_not_found")
    refused(lambda: tokens.get(token.id), 404, "token_not_found")


def refused(call, code, kind):
    try:
        call()
    except AppwriteException as error:
        assert (error.code, error.type) == (code, kind), (error.code, error.type, error.message)
        return
    raise AssertionError(f"{kind} was expected")


def png(width, height):
    """A grey PNG image."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def png_size(image):
    assert image[:8] == b"\x89PNG\r\n\x1a\n", image[:8]
    return struct.unpack(">II", image[16:24])


def main(endpoint, project, key):
    storage, guest = Storage(client_of(endpoint, project, key)), Storage(client_of(endpoint, project))
    bucket = storage.create_bucket("py", "Python", permissions=[Permission.read(Role.any())])
    assert (bucket.id, bucket.maximumfilesize) == ("py", 30_000_000), bucket
    assert storage.get_bucket("py").permissions == ['read("any")']
    listed = storage.list_buckets(queries=[Query.equal("name", "Python")])
    assert [found.id for found in listed.buckets] == ["py"], listed
    assert storage.update_bucket("py", "New").name == "New"

    text = InputFile.from_bytes(b"some text", filename='a "b".txt')
    file = storage.create_file("py", "f1", text, permissions=[Permission.read(Role.any())])
    assert (file.name, file.mimetype, file.signature) == ('a "b".txt', "text/plain", hashlib.md5(b"some text").hexdigest())
    assert storage.get_file("py", "f1").sizeoriginal == 9
    assert storage.update_file("py", "f1", name="c.txt").name == "c.txt"
    assert [found.id for found in storage.list_files("py", search="c").files] == ["f1"]
    assert guest.get_file_view("py", "f1") == b"some text"
    refused(lambda: storage.create_file("py", "f1", InputFile.from_bytes(b"x", filename="x")), 409, "storage_file_already_exists")
    refused(lambda: guest.create_file("py", ID.unique(), InputFile.from_bytes(b"x", filename="x")), 401, "user_unauthorized")
    refused(lambda: guest.list_buckets(), 401, "general_unauthorized_scope")

    storage.create_file("py", "photo", InputFile.from_bytes(png(640, 400), filename="photo.png"))
    assert png_size(guest.get_file_preview("py", "photo", width=300, height=100, gravity=ImageGravity.CENTER)) == (300, 100)
    turned = guest.get_file_preview("py", "photo", width=300, height=100, border_radius=50, opacity=0.5, rotation=45, output=ImageFormat.PNG)
    assert png_size(turned) == (284, 284)
    framed = storage.get_file_preview("py", "photo", width=200, height=80, border_width=5, border_color="f02e65")
    assert png_size(framed) == (210, 90)
    refused(lambda: guest.get_file_preview("py", "photo", output=ImageFormat.AVIF), 400, "general_argument_invalid")

    content = bytes(index % 251 for index in range(3 * PART + 77))
    large = storage.create_file("py", "large", InputFile.from_bytes(content, filename="large.bin"))
    assert (large.chunksuploaded, large.chunkstotal, large.sizeactual) == (4, 4, len(content)), large
    assert storage.get_file_download("py", "large") == content
    tokens_are_managed_and_used(endpoint, project, key)

    storage.delete_file("py", "f1")
    refused(lambda: storage.get_file("py", "f1"), 404, "storage_file_not_found")
    storage.delete_bucket("py")
    refused(lambda: storage.get_bucket("py"), 404, "storage_bucket_not_found")


if __name__ == "__main__":
    main(*sys.argv[1:], os.environ["ENLACE_APPWRITE_KEY"])
