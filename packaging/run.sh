#!/bin/sh
# packaging/run.sh BINARY: starts the relay in the foreground on 127.0.0.1:2525 with its state under ./run.
set -eu
binary=$1
here=$(pwd)
mkdir -p run
[ -f run/waxseal.conf ] || cat > run/waxseal.conf <<CONF
# Written by "make run".  All settings: man ./docs/man/waxseal.conf.5
listeners = ( { address = "127.0.0.1:2525"; relay-from = [ "127.0.0.0/8" ]; } );
state-dir = "$here/run/state";
run-dir = "$here/run";
user = "nobody";
CONF
cat <<TEXT
waxseal takes mail on 127.0.0.1:2525 and keeps its state under ./run.  End it with Ctrl-C.
Send a first message from another terminal (put your own address for you@example.org):

  printf 'Subject: hello\n\nIt works.\n' | curl -sS --crlf smtp://127.0.0.1:2525 \\
      --mail-from you@example.org --mail-rcpt you@example.org -T -
  swaks --server 127.0.0.1:2525 --from you@example.org --to you@example.org
  printf 'Subject: hello\n\nIt works.\n' | $binary sendmail -C run/waxseal.conf you@example.org

See what became of it:

  $binary queue list --config run/waxseal.conf

TEXT
exec "$binary" run --config run/waxseal.conf
