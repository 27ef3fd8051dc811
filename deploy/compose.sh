#!/bin/sh
# Makes what compose.yaml needs besides an operator's own files: passwords, and certificates of the database and the blob
# store, with the authority that replicas believe. Run it as root, once, before the first `up`; it overwrites nothing.
set -eu
umask 077
cd "$(dirname "$0")"
for made in etc secrets; do
	test ! -e $made || { echo "deploy/$made exists; remove deploy/etc, deploy/secrets and the volumes to begin anew" >&2; exit 2; }
done
mkdir -p etc/tls secrets # nobody else on this machine opens secrets/; what containers are given of it, they can read
password=$(openssl rand -hex 24) access=$(openssl rand -hex 8) secret=$(openssl rand -hex 24)
printf %s "$password" > secrets/database-password
printf 'PGPASSWORD=%s\nAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n' "$password" "$access" "$secret" > secrets/replicas.env
printf '{"identities": [{"name": "secagg", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin", "Read", "Write", "List"]}]}\n' \
	"$access" "$secret" > secrets/blobs.json

elliptic='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $elliptic -keyout secrets/ca.key -out etc/tls/internal-ca.pem -days 3650 -subj "/CN=inside" \
	-addext "keyUsage=critical,keyCertSign,cRLSign" 2> /dev/null
for server in database blobs; do
	openssl req -new $elliptic -keyout secrets/$server-key.pem -out secrets/csr -subj "/CN=$server" 2> /dev/null
	printf 'basicConstraints=critical,CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:%s\n' $server > secrets/ext
	openssl x509 -req -in secrets/csr -CA etc/tls/internal-ca.pem -CAkey secrets/ca.key -days 3650 -extfile secrets/ext \
		-out secrets/$server.pem 2> /dev/null
done
rm secrets/csr secrets/ext secrets/ca.key # it signs nothing else

cp server-replicas.toml etc/server.toml
chmod 644 secrets/database.pem secrets/blobs.pem secrets/blobs-key.pem secrets/blobs.json \
	etc/server.toml etc/tls/internal-ca.pem
chmod 755 etc etc/tls
chown 999:999 secrets/database-key.pem # the user of the image postgres
