"""Uploads a file with tuspy.

Usage: tuspy_upload.py BASE_URL FILE OPTIONS

OPTIONS is JSON: `chunk_size`, `metadata`, `upload_checksum` as tuspy has them; `memory` is a path that keeps the
upload's address; `stop_at` ends the upload there, unfinished. Prints one line of JSON.
"""

import json
import sys

from tusclient import client
from tusclient.storage import filestorage

base_url, file, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
memory, stop_at = options.pop("memory", None), options.pop("stop_at", None)
if memory:
    options["store_url"] = True
    options["url_storage"] = filestorage.FileStorage(memory)
uploader = client.TusClient(f"{base_url}/uploads").uploader(file, **options)
resumed_from = uploader.offset
uploader.upload(stop_at=stop_at)
print(json.dumps({"url": uploader.url, "offset": uploader.offset, "resumed_from": resumed_from}))
