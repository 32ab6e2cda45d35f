//! Who may enter, with real clients: keys, certificates, keys with passwords, proxies; and
//! strangers who only want to be in the way.

use std::os::unix::fs::PermissionsExt;

use russh::MethodKind;
use russh::client::AuthResult;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Makes a key pair in `home` and gives the line of its public half.
fn make_key(home: &Path, name: &str, kind: &[&str]) -> String {
    let path = home.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", name, "-t"])
        .args(kind)
        .arg("-f")
        .arg(&path)
        .status();
    assert!(made.expect("ssh-keygen runs").success());
    let public = std::fs::read_to_string(path.with_extension("pub")).expect("a public key");
    public.trim().to_owned()
}

/// Signs the public key `id.pub` as `<name>` with the key `signer`; the other words are those of
/// `ssh-keygen`.
fn sign(home: &Path, signer: &str, name: &str, words: &[&str]) -> PathBuf {
    let key = home.join(format!("{name}.pub"));
    std::fs::copy(home.join("id.pub"), &key).expect("copied");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(home.join(signer))
        .args(["-I", name])
        .args(words)
        .arg(&key)
        .status();
    assert!(made.expect("ssh-keygen runs").success(), "{name}");
    home.join(format!("{name}-cert.pub"))
}

fn authority(options: &str, public: &str) -> AuthorizedKey {
    AuthorizedKey::parse(&format!("cert-authority{options} {public}")).expect("a key")
}

/// The real program with a certificate for its key.
async fn enter_with(world: &World, user: &str, certificate: &Path) -> Result<String, String> {
    let mut command = world.program("sftp");
    command
        .arg(format!("-oCertificateFile={}", certificate.display()))
        .args(["-oPreferredAuthentications=publickey", "-b-"])
        .arg(format!("{user}@127.0.0.1"));
    run(command, "ls\n".to_owned()).await
}

/// Users who log in with certificates must get in with good ones, and nobody with any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_opens_a_login_for_which_it_was_signed() {
    let world = World::changed(|home, _, logins| {
        let ours = make_key(home, "ca", &["ed25519"]);
        let rsa = make_key(home, "rsa-ca", &["rsa", "-b", "3072"]);
        make_key(home, "other-ca", &["ed25519"]);
        for login in logins {
            login.authorized_keys = match login.user.as_str() {
                "acme" => vec![authority("", &rsa), authority("", &ours)],
                "globex" => vec![authority(",principals=\"ops\"", &ours)],
                _ => Vec::new(),
            };
        }
    })
    .await;
    let home = world.home.path();
    let cert = |name: &str, signer: &str, words: &[&str]| sign(home, signer, name, words);
    let year = ["-V", "-1d:+1d"];
    let for_acme = |more: &[&'static str]| [&["-n", "acme,ops"], more].concat();
    for (user, enters, certificate) in [
        ("acme", true, cert("good", "ca", &for_acme(&year))),
        ("globex", true, cert("ops", "ca", &for_acme(&year))),
        ("acme", true, cert("rsa", "rsa-ca", &for_acme(&[]))),
        (
            "acme",
            false,
            cert("sha1", "rsa-ca", &for_acme(&["-t", "ssh-rsa"])),
        ),
        ("globex", false, cert("acme", "ca", &["-n", "acme,globex"])),
        ("faraway", false, cert("nobody", "ca", &["-n", "faraway"])),
        ("acme", false, cert("strange", "other-ca", &for_acme(&[]))),
        ("acme", false, cert("all", "ca", &[])),
        (
            "acme",
            false,
            cert("late", "ca", &for_acme(&["-V", "-2d:-1d"])),
        ),
        (
            "acme",
            false,
            cert("early", "ca", &for_acme(&["-V", "+1d:+2d"])),
        ),
        ("acme", false, cert("host", "ca", &for_acme(&["-h"]))),
        (
            "acme",
            false,
            cert("force", "ca", &for_acme(&["-O", "force-command=id"])),
        ),
        (
            "acme",
            true,
            cert(
                "near",
                "ca",
                &for_acme(&["-O", "source-address=127.0.0.0/8"]),
            ),
        ),
        (
            "acme",
            false,
            cert("far", "ca", &for_acme(&["-O", "source-address=10.0.0.0/8"])),
        ),
    ] {
        let outcome = enter_with(&world, user, &certificate).await;
        let shown = certificate.display();
        assert_eq!(outcome.is_ok(), enters, "{user} {shown}: {outcome:?}");
    }
    // The signer's own key is for signing.
    let own = std::fs::read(home.join("ca")).expect("read");
    let own = PrivateKey::from_openssh(own).expect("a key");
    let outcome = by_key(&world, "acme", &own).await;
    assert!(!outcome.success());
    world.end().await;
}

async fn by_key(world: &World, user: &str, key: &PrivateKey) -> AuthResult {
    let mut ssh = world.connect().await;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
    let outcome = soon(ssh.authenticate_publickey(user, key)).await;
    outcome.expect("answered")
}

fn own_key(world: &World) -> PrivateKey {
    let key = std::fs::read(&world.key).expect("read");
    PrivateKey::from_openssh(key).expect("a key")
}

/// What stands before a key must bound it: a key that has expired, or comes from elsewhere, is as
/// unknown as any other. A tenant may have several logins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_options_of_a_key_are_heeded() {
    let world = World::changed(|home, _, logins| {
        let public = std::fs::read_to_string(home.join("id.pub")).expect("a public key");
        let model = logins[0].clone();
        for (user, options) in [
            ("fresh", "expiry-time=\"20991231\""),
            ("stale", "expiry-time=\"20250101\""),
            ("here", "restrict,from=\"127.0.0.1,10.0.0.0/8\""),
            ("there", "from=\"10.0.0.0/8\""),
        ] {
            let key = AuthorizedKey::parse(&format!("{options} {}", public.trim()));
            logins.push(Login {
                user: user.to_owned(),
                authorized_keys: vec![key.expect("a key")],
                ..model.clone()
            });
        }
    })
    .await;
    let own = own_key(&world);
    for (user, enters) in [
        ("acme", true),
        ("fresh", true),
        ("here", true),
        ("stale", false),
        ("there", false),
    ] {
        let outcome = by_key(&world, user, &own).await;
        assert_eq!(outcome.success(), enters, "{user}");
    }
    world.end().await;
}

fn both(logins: &mut [Login]) {
    for login in logins.iter_mut().filter(|login| login.user == "acme") {
        login.require = Require::KeyAndPassword;
    }
}

/// What is left to try, if not all is wrong.
fn remaining(outcome: &AuthResult) -> (Vec<MethodKind>, bool) {
    match outcome {
        AuthResult::Success => panic!("not yet"),
        AuthResult::Failure {
            remaining_methods,
            partial_success,
        } => (remaining_methods.to_vec(), *partial_success),
    }
}

/// Where both are asked for, a stolen key or a guessed password alone must not open anything, nor
/// the half of one user be worth anything to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_a_password_are_asked_for_together() {
    let world = World::changed(|_, _, logins| both(logins)).await;
    let key = PrivateKeyWithHashAlg::new(Arc::new(own_key(&world)), None);
    let all = vec![MethodKind::PublicKey, MethodKind::Password];
    let password = vec![MethodKind::Password];

    let mut ssh = world.connect().await;
    let outcome = soon(ssh.authenticate_password("acme", PASSWORD)).await;
    assert_eq!(remaining(&outcome.expect("answered")), (all.clone(), false));
    let outcome = soon(ssh.authenticate_publickey("acme", key.clone())).await;
    assert_eq!(
        remaining(&outcome.expect("answered")),
        (password.clone(), true)
    );
    let outcome = soon(ssh.authenticate_password("acme", "wrong")).await;
    assert_eq!(
        remaining(&outcome.expect("answered")),
        (password.clone(), false)
    );
    let outcome = soon(ssh.authenticate_password("acme", PASSWORD)).await;
    assert!(outcome.expect("answered").success());

    // Half the way of one user is forgotten when the client turns to another.
    let mut ssh = world.connect().await;
    let outcome = soon(ssh.authenticate_publickey("acme", key.clone())).await;
    assert_eq!(remaining(&outcome.expect("answered")), (password, true));
    let outcome = soon(ssh.authenticate_password("globex", "wrong")).await;
    assert_eq!(remaining(&outcome.expect("answered")), (all.clone(), false));
    let outcome = soon(ssh.authenticate_password("acme", PASSWORD)).await;
    assert_eq!(remaining(&outcome.expect("answered")), (all, false));
    world.end().await;
}

/// The program that back offices use must find its way through both steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_client_gives_a_key_and_then_a_password() {
    let world = World::changed(|_, _, logins| both(logins)).await;
    for (password, enters) in [(PASSWORD, true), ("wrong", false)] {
        let script = format!("#!/bin/sh\necho '{password}'\n");
        let script = world.local("ask", script.as_bytes());
        let rights = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&script, rights).expect("set");
        // The first word on an option holds, and a program in batch mode asks for nothing.
        let mut command = Command::new("timeout");
        command
            .args([&HANG.as_secs().to_string(), "sftp", "-F/dev/null"])
            .arg("-oBatchMode=no")
            .args([
                "-oStrictHostKeyChecking=no",
                "-oUserKnownHostsFile=/dev/null",
            ])
            .args(["-oIdentitiesOnly=yes", "-oNumberOfPasswordPrompts=1"])
            .arg(format!("-oIdentityFile={}", world.key.display()))
            .arg(format!("-P{}", world.address.port()))
            .arg("acme@127.0.0.1")
            .env("SSH_ASKPASS", &script)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let outcome = run(command, "ls\n".to_owned()).await;
        assert_eq!(outcome.is_ok(), enters, "{outcome:?}");
    }
    world.end().await;
}

/// Whoever guesses user names must get the same answers, and wait as long, for all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_cannot_tell_users_apart() {
    let mut world = World::changed(|home, _, logins| {
        make_key(home, "strange", &["ed25519"]);
        let ca = make_key(home, "ca", &["ed25519"]);
        logins[0].authorized_keys.push(authority("", &ca));
        both(logins);
    })
    .await;
    let algorithm = russh::keys::Algorithm::Ed25519;
    let strange = PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).expect("made");
    let mut tries = Vec::new();
    for user in ["acme", "globex", "faraway", "nobody", ""] {
        let mut ssh = world.connect().await;
        let key = PrivateKeyWithHashAlg::new(Arc::new(strange.clone()), None);
        tries.push(tokio::spawn(async move {
            let none = soon(ssh.authenticate_none(user)).await.expect("answered");
            let key = soon(ssh.authenticate_publickey(user, key)).await;
            let began = crate::clock::steady();
            let password = soon(ssh.authenticate_password(user, "wrong")).await;
            let took = crate::clock::steady().duration_since(began);
            assert!(took >= Duration::from_millis(1_500), "{user}: {took:?}");
            [none, key.expect("answered"), password.expect("answered")]
        }));
    }
    let all = (vec![MethodKind::PublicKey, MethodKind::Password], false);
    for outcomes in tries {
        for outcome in outcomes.await.expect("ended") {
            assert_eq!(remaining(&outcome), all);
        }
    }

    // A client that only asks whether a key would do must be told the same, too.
    world.key = world.home.path().join("strange");
    for user in ["acme", "globex", "faraway", "nobody"] {
        let mut command = world.program("sftp");
        command.args(["-v", "-b-"]).arg(format!("{user}@127.0.0.1"));
        let said = run(command, String::new()).await.expect_err("a stranger");
        assert!(said.contains("Server accepts key"), "{user}: {said}");
    }
    world.end().await;
}

/// A stream from another address of this machine.
async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("an address of ours");
    soon(socket.connect(to)).await.expect("connected")
}

/// Whether the door greets whoever is on this stream; it closes on those who get no place.
async fn is_greeted(stream: &mut TcpStream) -> bool {
    let mut greeting = [0; 7];
    let read = soon(stream.read_exact(&mut greeting)).await;
    read.is_ok() && greeting == *b"SSH-2.0"
}

fn strict(settings: &mut Settings) {
    settings.gate.shared_addresses.clear();
}

/// 150 idle connections from one address must not keep anybody out who comes from another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_strangers_do_not_keep_others_out() {
    let world = World::changed(|_, settings, _| strict(settings)).await;
    let mut idle = Vec::new();
    let mut greeted = 0;
    for _ in 0..150 {
        let mut stream = connect_from([127, 0, 0, 2], world.address).await;
        greeted += usize::from(is_greeted(&mut stream).await);
        idle.push(stream);
    }
    assert_eq!(greeted, STRANGERS_PER_ADDRESS_MAX);
    world.enter("acme").await;
    drop(idle);
    world.end().await;
}

/// An address that guesses must be refused for a while, and nobody else with it; one that logs in
/// must never be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_again_and_again_is_refused() {
    let world = World::changed(|_, settings, _| strict(settings)).await;
    for _ in 0..12 {
        world.enter("acme").await;
    }
    let garbage = async || {
        let mut stream = connect_from([127, 0, 0, 2], world.address).await;
        if !is_greeted(&mut stream).await {
            return false;
        }
        let sent = stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n\r\n\r\n")
            .await;
        sent.expect("sent");
        let mut rest = Vec::new();
        // The door may close before all of it is read, which resets the connection.
        let _ = soon(stream.read_to_end(&mut rest)).await;
        true
    };
    let refused = async { while garbage().await {} };
    soon(refused).await;
    let mut other = connect_from([127, 0, 0, 3], world.address).await;
    assert!(is_greeted(&mut other).await);
    world.enter("acme").await;
    world.end().await;
}

/// Whoever guesses with many connections at once must not have one guess for each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_once_are_counted_like_guesses_in_turn() {
    let world = World::changed(|_, settings, _| strict(settings)).await;
    let mut strangers = Vec::new();
    for _ in 0..30 {
        let stream = connect_from([127, 0, 0, 2], world.address).await;
        let ssh = client::connect_stream(Arc::default(), stream, AnyHost);
        strangers.push(soon(ssh).await.expect("greeted"));
    }
    let guesses: Vec<_> = strangers
        .into_iter()
        .map(|mut ssh| {
            tokio::spawn(async move {
                let answer = soon(ssh.authenticate_password("acme", "wrong")).await;
                // The library gives no reason when the connection ends instead of an answer.
                let was_heard = answer.is_ok_and(|answer| !remaining(&answer).0.is_empty());
                // The right one is not heard from there either by now.
                let right = soon(ssh.authenticate_password("acme", PASSWORD)).await;
                (was_heard, right.is_ok_and(|outcome| outcome.success()))
            })
        })
        .collect();
    let (mut heard, mut entered) = (0, 0);
    for guess in guesses {
        let (was_heard, is_in) = guess.await.expect("ended");
        heard += usize::from(was_heard);
        entered += usize::from(is_in);
    }
    // Six, and one more since a little is paid off meanwhile.
    assert!((1..=7).contains(&heard), "{heard} of 30 guesses were heard");
    assert_eq!(entered, 0);
    let mut late = connect_from([127, 0, 0, 2], world.address).await;
    assert!(!is_greeted(&mut late).await);
    world.enter("acme").await;
    world.end().await;
}

/// A tenant may have as many sessions as its settings say, and another tenant its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_a_tenant_are_counted() {
    let world = World::changed(|_, settings, _| {
        let acme = TenantName::parse("acme").expect("a name");
        settings.sessions_max = BTreeMap::from([(acme, 2)]);
    })
    .await;
    let one = world.raw("acme").await;
    let _two = world.raw("acme").await;
    let mut ssh = world.connect().await;
    let outcome = soon(ssh.authenticate_password("acme", PASSWORD)).await;
    if outcome.is_ok_and(|outcome| outcome.success()) {
        assert!(soon(ssh.channel_open_session()).await.is_err());
    }
    world.raw("globex").await;
    drop(one);
    let again = async {
        loop {
            let mut ssh = world.connect().await;
            let outcome = ssh.authenticate_password("acme", PASSWORD).await;
            if outcome.is_ok_and(|outcome| outcome.success())
                && ssh.channel_open_session().await.is_ok()
            {
                break;
            }
        }
    };
    soon(again).await;
    world.end().await;
}

fn behind_proxy(settings: &mut Settings) {
    settings.gate = Gate {
        proxy_from: vec!["127.0.0.9/32".parse().expect("a net")],
        ..Gate::default()
    };
}

/// Whether `user` gets in with the right password, over a stream on which this is sent first.
async fn enters_after(world: &World, user: &str, pieces: &[&[u8]]) -> Result<bool, russh::Error> {
    let mut stream = connect_from([127, 0, 0, 9], world.address).await;
    stream.set_nodelay(true).expect("set");
    for piece in pieces {
        stream.write_all(piece).await.expect("sent");
        stream.flush().await.expect("sent");
    }
    let config = Arc::new(client::Config::default());
    let mut ssh = soon(client::connect_stream(config, stream, AnyHost)).await?;
    let outcome = soon(ssh.authenticate_password(user, PASSWORD)).await?;
    Ok(outcome.success())
}

/// Behind a proxy every client must be known by its own address, in whatever pieces the header
/// comes; without one there is no knowing, and so no entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_says_for_whom_it_connects() {
    let world = World::changed(|_, settings, _| behind_proxy(settings)).await;
    let binary = |ip: [u8; 4]| {
        let prefix = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c";
        [&prefix[..], &ip, &[127, 0, 0, 9, 1, 2, 0, 22]].concat()
    };
    let far = binary([10, 1, 2, 3]);
    let bytes: Vec<&[u8]> = far.chunks(1).collect();
    for (user, pieces, enters) in [
        // `faraway` may come from 10.0.0.0/8 only, `acme` from this machine only.
        (
            "faraway",
            vec![&b"PROXY TCP4 10.1.2.3 127.0.0.9 1 22\r\n"[..]],
            true,
        ),
        (
            "acme",
            vec![&b"PROXY TCP4 10.1.2.3 127.0.0.9 1 22\r\n"[..]],
            false,
        ),
        (
            "acme",
            vec![&b"PROXY TCP4 192.0.2.7 127.0.0.9 1 22\r\n"[..]],
            false,
        ),
        ("faraway", vec![&far[..]], true),
        ("faraway", bytes, true),
        (
            "faraway",
            vec![&b"PROXY TCP4 10.1"[..], b".2.3 127.0.0.9 1 22\r", b"\n"],
            true,
        ),
        ("acme", vec![&b"PROXY UNKNOWN\r\n"[..]], true),
        (
            "acme",
            vec![&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"[..]],
            true,
        ),
    ] {
        let outcome = enters_after(&world, user, &pieces).await;
        assert_eq!(outcome.expect("answered"), enters, "{user} {pieces:?}");
    }
    let long = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    for pieces in [
        vec![],
        vec![&b"GET / HTTP/1.1\r\n\r\n"[..]],
        vec![&long[..]],
    ] {
        let outcome = enters_after(&world, "acme", &pieces).await;
        assert!(outcome.is_err(), "{pieces:?}");
    }
    // From anybody else a header is what it is to any SSH server: garbage before the greeting.
    let mut stream = connect_from([127, 0, 0, 1], world.address).await;
    stream.write_all(&far).await.expect("sent");
    assert!(
        is_greeted(&mut stream).await,
        "it does not wait for a header"
    );
    world.end().await;
}

/// Clients that remember one kind of host key must be offered it, and never with SHA-1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_host_key_is_shown() {
    let world = World::new().await;
    for (kind, is_there) in [
        ("ssh-ed25519", true),
        ("ecdsa-sha2-nistp256", true),
        ("rsa-sha2-512", true),
        ("rsa-sha2-256", true),
        ("ssh-rsa", false),
    ] {
        let mut command = world.program("sftp");
        command
            .arg(format!("-oHostKeyAlgorithms={kind}"))
            .args(["-b-", "acme@127.0.0.1"]);
        let outcome = run(command, "ls\n".to_owned()).await;
        assert_eq!(outcome.is_ok(), is_there, "{kind}: {outcome:?}");
    }
    world.end().await;
}

/// This door has files and nothing else: whatever else is asked for is refused at once, and the
/// client neither hangs nor takes the session of another down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_but_files_is_refused() {
    let world = World::new().await;
    let (_ssh, kept) = world.raw("acme").await;
    let socket = world.home.path().join("socket");
    let local = format!("-L{}:127.0.0.1:1", socket.display());
    let remote = format!("-R{}:127.0.0.1:1", socket.display());
    for words in [
        &["acme@127.0.0.1", "true"][..],
        &["acme@127.0.0.1"],
        &["-tt", "acme@127.0.0.1"],
        &["-A", "acme@127.0.0.1", "true"],
        &["-X", "acme@127.0.0.1", "true"],
        &["-oSendEnv=LANG", "-oSetEnv=A=b", "acme@127.0.0.1", "true"],
        &["-s", "acme@127.0.0.1", "foo"],
        &["-W", "127.0.0.1:1", "acme@127.0.0.1"],
        &[
            "-oExitOnForwardFailure=yes",
            "-NR0:127.0.0.1:1",
            "acme@127.0.0.1",
        ],
        &[
            "-oExitOnForwardFailure=yes",
            "-N",
            &remote,
            "acme@127.0.0.1",
        ],
        &[&local, "acme@127.0.0.1", "true"],
    ] {
        let mut command = Command::new("timeout");
        command
            .args([
                &HANG.as_secs().to_string(),
                "ssh",
                "-F/dev/null",
                "-oBatchMode=yes",
            ])
            .args([
                "-oStrictHostKeyChecking=no",
                "-oUserKnownHostsFile=/dev/null",
            ])
            .arg(format!("-oIdentityFile={}", world.key.display()))
            .arg(format!("-p{}", world.address.port()))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let began = crate::clock::steady();
        let outcome = run(command, String::new()).await;
        let took = crate::clock::steady().duration_since(began);
        assert!(outcome.is_err(), "{words:?}");
        assert!(took < HANG, "{words:?} hangs: {outcome:?}");
    }
    soon(kept.stat("/whatsapp")).await.expect("still served");
    let (ssh, _channel) = world.enter("acme").await;
    let forward = soon(ssh.channel_open_direct_tcpip("127.0.0.1", 1, "127.0.0.1", 1)).await;
    assert!(forward.is_err());
    let forward = soon(ssh.channel_open_direct_streamlocal("/run/x")).await;
    assert!(forward.is_err());
    world.end().await;
}
