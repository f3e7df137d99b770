#!/bin/sh
# Makes every file of this folder anew with the openssl command line tool (3.0). Run inside the folder. The keys are throwaway test material; only
# those that tests sign with are kept.
set -e
w=$(mktemp -d)
here=$(pwd)
cd "$w"
export CA=none
cat > ca.cnf <<'CONF'
[ca]
default_ca = any
[any]
dir = $ENV::CA
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
default_md = sha256
policy = anything
unique_subject = no
default_crl_days = 3650
crl_extensions = crl
[anything]
C = optional
ST = optional
L = optional
O = optional
OU = optional
CN = supplied
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[inter]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[deep]
basicConstraints = critical,CA:true,pathlen:1
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[attrs]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
1.2.3.4.5.6.7.8.1 = DER:7b226174747273223a7b2268662e456e726f6c6c6d656e744944223a22616c696365222c22726f6c65223a2261756469746f7220c3a9227d7d
[narrow]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical,permitted;DNS:example.com
[inside]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
subjectAltName = DNS:peer0.example.com
[outside]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
subjectAltName = DNS:peer0.example.org
[plain]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
[tlsclient]
basicConstraints = critical,CA:false
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
[critical]
basicConstraints = critical,CA:false
authorityKeyIdentifier = keyid
1.2.3.4.5 = critical,DER:0500
[crl]
authorityKeyIdentifier = keyid
CONF
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:"${2:-P-256}" -out "$1.key" 2>/dev/null; }
# root NAME SUBJECT [EXTENSIONS]
root() {
	mkdir -p "$1"; : > "$1/index.txt"; echo 1000 > "$1/serial"; echo 01 > "$1/crlnumber"
	CA=$1 openssl req -new -key "$1.key" -subj "$2" -config ca.cnf -out "$1.csr"
	CA=$1 openssl ca -batch -config ca.cnf -selfsign -keyfile "$1.key" -in "$1.csr" -extensions "${3:-root}" -startdate 20200101000000Z \
		-enddate 20400101000000Z -preserveDN -notext -out "$1.pem" 2>/dev/null
}
# sign CA NAME SUBJECT EXTENSIONS [START END]
sign() {
	mkdir -p "$1"; [ -f "$1/index.txt" ] || { : > "$1/index.txt"; echo 2000 > "$1/serial"; echo 01 > "$1/crlnumber"; }
	CA=$1 openssl req -utf8 -new -key "$2.key" -subj "$3" -config ca.cnf -out "$2.csr"
	CA=$1 openssl ca -batch -config ca.cnf -cert "$1.pem" -keyfile "$1.key" -in "$2.csr" -extensions "$4" \
		-startdate "${5:-20210101000000Z}" -enddate "${6:-20390101000000Z}" -preserveDN -notext -out "$2.pem" 2>/dev/null
}
key root; root root "/C=US/ST=California/O=org.example.com/CN=ca.org.example.com"
key inter; sign root inter "/C=US/O=org.example.com/OU=ca/CN=ica.org.example.com" inter
key other; root other "/C=US/O=other.example.com/CN=ca.other.example.com"
key root384 P-384; root root384 "/C=DE/O=p384.example.com/CN=ca.p384.example.com"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rootrsa.key 2>/dev/null; root rootrsa "/C=DE/O=rsa.example.com/CN=ca.rsa.example.com"
S="/C=US/ST=North Carolina/O=Hyperledger"
key peer; sign inter peer "$S/OU=peer/CN=peer0" plain
key client; sign inter client "$S/OU=client/OU=department1/CN=alice" attrs
key rootleaf; sign root rootleaf "$S/OU=client/CN=issued by the inner node" plain
key expired; sign inter expired "$S/OU=client/CN=expired" plain 20210101000000Z 20210201000000Z
key early; sign inter early "$S/OU=client/CN=older than its issuer" plain 20200601000000Z 20390101000000Z
key revoked; sign inter revoked "$S/OU=client/CN=revoked" plain
key caleaf; sign root caleaf "$S/OU=client/CN=a CA" inter
key wrongou; sign inter wrongou "$S/OU=auditor/CN=wrong OU" plain
key twoous; sign inter twoous "$S/OU=client/OU=peer/CN=two OUs" plain
key stranger; sign other stranger "$S/OU=client/CN=stranger" plain
key tlsclient; sign inter tlsclient "$S/OU=client/CN=TLS client only" tlsclient
key critical; sign inter critical "$S/OU=client/CN=critical extension" critical
key p384 P-384; sign root384 p384 "/C=DE/O=p384.example.com/OU=peer/CN=peer0.p384" plain
key rsaissued; sign rootrsa rsaissued "/C=DE/O=rsa.example.com/OU=peer/CN=peer0.rsa" plain
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsaleaf.key 2>/dev/null; sign inter rsaleaf "$S/OU=client/CN=RSA key" plain
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out k1leaf.key 2>/dev/null; sign inter k1leaf "$S/OU=client/CN=other curve" plain
key escape; sign inter escape "$S/OU=client/CN= a,b\\+c\"d\\\\e<f>g;h#é " plain
# one intermediate with one key and one name, certified by two roots
key cross; sign root cross "/C=US/O=org.example.com/CN=cross" inter; cp cross.pem crossa.pem; cp cross.key crossb.key
sign other crossb "/C=US/O=org.example.com/CN=cross" inter
key twochains; sign cross twochains "$S/OU=client/CN=two chains" plain
# a root with name constraints
key narrow; root narrow "/C=US/O=narrow.example.com/CN=ca.narrow.example.com" narrow
key inside; sign narrow inside "$S/OU=client/CN=peer0.example.com" inside
key outside; sign narrow outside "$S/OU=client/CN=peer0.example.com" outside
key hostname; sign narrow hostname "$S/OU=client/CN=peer0.example.com" plain
key person; sign narrow person "$S/OU=client/CN=a person" plain
# two floors of intermediates; the upper one is an inner node of the tree
key upper; sign root upper "/C=US/O=org.example.com/CN=upper" deep
key lower; sign upper lower "/C=US/O=org.example.com/CN=lower" inter
key lowleaf; sign lower lowleaf "$S/OU=client/CN=below lower" plain
key upleaf; sign upper upleaf "$S/OU=client/CN=below upper" plain
CA=inter openssl ca -config ca.cnf -cert inter.pem -keyfile inter.key -revoke revoked.pem 2>/dev/null
CA=inter openssl ca -config ca.cnf -cert inter.pem -keyfile inter.key -gencrl -out inter.crl 2>/dev/null
openssl ec -in peer.key -out peer-sec1.key 2>/dev/null
openssl pkcs8 -topk8 -in peer.key -passout pass:secret -out peer-encrypted.key
printf 'a message to sign' > message
openssl dgst -sha256 -sign peer.key -out message.sig message
openssl dgst -sha256 -sign p384.key -out message-p384.sig message
openssl req -new -key client.key -subj "/C=US/OU=client/CN=bob" -config ca.cnf -addext "subjectAltName=DNS:bob.example.com,IP:10.0.0.7" -out bob.csr
cp *.pem inter.crl message message.sig message-p384.sig bob.csr peer.key peer-sec1.key peer-encrypted.key p384.key client.key rootrsa.key k1leaf.key "$here"
rm -f "$here/cross.pem"
rm -rf "$w"
