// Tree: scripts that make a directory with every kind of thing in it, and that tell everything about a directory that must
// be alike on two hosts. Not how it gets from one to the other.

/** Extended attributes without the programs of Debian's package attr, which a host may lack. */
const XATTR = `
use POSIX; my ($set, $get, $list) = (uname())[4] eq "aarch64" ? (6, 9, 12) : (189, 192, 195);
sub give { my ($f, $n, $v) = @_; syscall($set, $f, $n, $v, length $v, 0) == 0 or die "$f $n: $!" }
sub show { my $f = shift; my $names = "\\0" x 4096; my $l = syscall($list, $f, $names, 4096);
  for my $n (sort split /\\0/, substr($names, 0, $l < 0 ? 0 : $l)) {
    my $v = "\\0" x 4096; my $m = syscall($get, $f, $n, $v, 4096); print "$f $n ", unpack("H*", substr($v, 0, $m)), "\\n" } }
`;

/** Everything of the tree $1 that must be alike, as text: facts, hard links, holes, contents, attributes. */
export const FACTS = `cd "$1"
find . -printf '%p|%y|%m|%U:%G|%T@|%n|%s|%l\\0' | sort -z | tr '\\0' '\\n'
find . -type f -print0 | sort -z | xargs -0 sha256sum -z | tr '\\0' '\\n'
find . -type f -printf '%S %p\\0' | sort -z | tr '\\0' '\\n' | awk '{ print ($1 < 0.5 ? "sparse" : "full"), $2 }'
find . -links +1 -type f -printf '%i %p\\0' | sort -z -k2 | tr '\\0' '\\n' | awk '{ n[$1] = n[$1] " " $2 } END { for (i in n) print n[i] }' | sort
find . ! -type l -print0 | sort -z | perl -0ne '${XATTR} chomp; show($_)'
if command -v getfacl >/dev/null; then find . ! -type l -print0 | sort -z | xargs -0 getfacl -n; fi`;

/** Makes the tree /srv/tree. */
export const TREE = `mkdir -p /srv/tree/empty /srv/tree/closed /srv/tree/deep/a/b/c; cd /srv/tree
echo suid >suid; chmod 6755 suid; echo plain >plain; chmod 0640 plain; chown daemon:adm plain
ln plain hard; ln plain deep/hard; ln -s plain soft; ln -s /nowhere/at/all dangling; ln -s ../.. deep/a/up
truncate -s 96M sparse; printf x | dd of=sparse bs=1 seek=30000000 conv=notrunc status=none
: >zero; head -c 3000000 /dev/urandom >big
printf 'n' >"$(printf 'new\\nline')"; printf 'b' >"$(printf 'bad\\377\\376utf8')"; printf s >' spaces  and "quotes" '
mkdir "$(printf 'dir\\200')"; echo in >"$(printf 'dir\\200/in')"; printf d >-dash
chown -h daemon soft; chmod 0000 closed; chmod 3775 deep
perl -e '${XATTR} give("plain", "user.note", "a value"); give("deep", "user.bin", "\\0\\xff\\0")'
if command -v setfacl >/dev/null; then setfacl -m u:daemon:rwx,g:adm:r big; setfacl -d -m u:bin:rx deep; fi
touch -h -d '1999-12-31 23:59:59.123456789' soft; touch -d '2001-02-03 04:05:06.000000001' big empty closed
touch -d '1969-12-31 12:00:00.5' zero; touch -d '2040-01-01' plain`;
