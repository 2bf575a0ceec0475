"""The portal as it is; this only makes its database."""

import os
import sys

from bench import customers
from kmzportal import create_app
from kmzportal.domain.passwords import hash_password
from kmzportal.server.serve import prepare

if __name__ == "__main__":
    app = create_app()
    prepare(app)
    with app.app_context():
        hashed = hash_password(os.environ["BENCH_PASSWORD"])
        customers.fill(int(sys.argv[1]), hashed)
        print(hashed)
