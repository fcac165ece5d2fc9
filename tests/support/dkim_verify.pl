# dkim_verify.pl FOLDER: the word of Perl's Mail::DKIM on each message there signed with RSA (rsa-NAME.good,
# rsa-NAME.bad); the rest as dkim_verify.py.
use strict;
use warnings;
use Mail::DKIM::PublicKey;
use Mail::DKIM::Verifier;

my ($folder) = @ARGV;
my %records;
open my $keys, "<", "$folder/keys" or die;
while (<$keys>) {
    chomp;
    my ($name, $record) = split / /, $_, 2;
    $records{$name} = $record;
}

{
    no warnings "redefine";
    *Mail::DKIM::PublicKey::fetch_async = sub {
        my ($class, %args) = @_;
        my $key = $class->parse($records{"$args{Selector}._domainkey.$args{Domain}"});
        $key->check;
        return sub { $args{Callbacks}{Success}->($key) };
    };
}

my ($seen, $wrong) = (0, 0);
for my $path (sort glob "$folder/rsa-*.{good,bad}") {
    next if $path =~ /unended/;    # its "simple" adds no line end; SMTP has no such mail
    open my $in, "<:raw", $path or die;
    local $/;
    my $verifier = Mail::DKIM::Verifier->new;
    $verifier->PRINT(<$in>);
    $verifier->CLOSE;
    my $is_good = $verifier->result eq "pass";
    $seen++;
    next if $is_good == ($path =~ /\.good$/);
    $wrong++;
    print "Mail::DKIM: $path: ", $verifier->result_detail, "\n";
}
exit($seen && !$wrong ? 0 : 1);
