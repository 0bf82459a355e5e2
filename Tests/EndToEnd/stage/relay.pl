# A workload that lends its connection: bytes go between standard input (a socket) and the Workload API's socket.
# relay.pl SOCKET [PROGRAM]   SIGUSR1: become PROGRAM and go on with the same connection. SIGUSR2: become user 65534.
use strict;
use warnings;
use Socket;

$^F = 255;    # descriptors stay open across exec
my ($path) = $ARGV[0] =~ /^(.*)$/s;
my $program = $ARGV[1];
my $peer;
if ($path =~ /^fd:(\d+)$/) {
    open($peer, '+<&=', $1) or die "fd: $!";
} else {
    socket($peer, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    connect($peer, sockaddr_un($path)) or die "connect: $!";
}
my ($run, $drop) = (0, 0);
$SIG{USR1} = sub { $run = 1 };
$SIG{USR2} = sub { $drop = 1 };
open(my $client, '+<&=', 0) or die "stdin: $!";
syswrite(STDOUT, "ready\n");

sub copy {
    my ($from, $to) = @_;
    my $count = sysread($from, my $data, 65536);
    exit 0 if !$count;
    for (my $sent = 0; $sent < $count;) {
        my $written = syswrite($to, $data, $count - $sent, $sent);
        exit 0 if !defined $written;
        $sent += $written;
    }
}

while (1) {
    if ($run) { exec { $program } $program, $0, 'fd:' . fileno($peer) or die "exec: $!" }
    if ($drop) {
        ($drop, $(, $)) = (0, 65534, '65534 65534');
        ($<, $>) = (65534, 65534);
        syswrite(STDOUT, "dropped\n");
    }
    my $wait = '';
    vec($wait, fileno($client), 1) = 1;
    vec($wait, fileno($peer), 1) = 1;
    next if select($wait, undef, undef, 0.2) < 1;
    copy($client, $peer) if vec($wait, fileno($client), 1);
    copy($peer, $client) if vec($wait, fileno($peer), 1);
}
