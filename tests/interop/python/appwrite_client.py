"""The published Appwrite SDK for Python drives buckets, files and their contents at a node. Arguments: endpoint, project; the key is in ENLACE_APPWRITE_KEY."""

import hashlib
import os
import sys

from appwrite.client import Client
from appwrite.exception import AppwriteException
from appwrite.id import ID
from appwrite.input_file import InputFile
from appwrite.permission import Permission
from appwrite.query import Query
from appwrite.role import Role
from appwrite.services.storage import Storage

PART = 5 * 1024 * 1024


def storage_of(endpoint, project, key=None):
    client = Client().set_endpoint(endpoint).set_project(project)
    return Storage(client.set_key(key) if key else client)


def refused(call, code, kind):
    try:
        call()
    except AppwriteException as error:
        assert (error.code, error.type) == (code, kind), (error.code, error.type, error.message)
        return
    raise AssertionError(f"{kind} was expected")


def main(endpoint, project, key):
    storage, guest = storage_of(endpoint, project, key), storage_of(endpoint, project)
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

    content = bytes(index % 251 for index in range(3 * PART + 77))
    large = storage.create_file("py", "large", InputFile.from_bytes(content, filename="large.bin"))
    assert (large.chunksuploaded, large.chunkstotal, large.sizeactual) == (4, 4, len(content)), large
    assert storage.get_file_download("py", "large") == content

    storage.delete_file("py", "f1")
    refused(lambda: storage.get_file("py", "f1"), 404, "storage_file_not_found")
    storage.delete_bucket("py")
    refused(lambda: storage.get_bucket("py"), 404, "storage_bucket_not_found")


if __name__ == "__main__":
    main(*sys.argv[1:], os.environ["ENLACE_APPWRITE_KEY"])
