//! Tests of who gets a secret, and when.

use super::*;

fn request(host: &str, kind: SecretKind) -> SecretRequest {
    SecretRequest { host: HostName::lossy(host), kind, prompt: "?".to_owned() }
}

fn fixed() -> Secrets {
    Secrets::new().with(SecretKind::Password, Secret::new("s3cret"))
}

#[tokio::test]
async fn secret_that_is_not_one_line_is_not_sent() {
    for text in ["a\nb", "a\r", "\0"] {
        let secrets = Secrets::new().with(SecretKind::Sudo, Secret::new(text));
        let found = secrets.find(&request("a", SecretKind::Sudo)).await;
        assert_eq!(found.err(), Some(Refusal::Unfit));
    }
    assert_eq!(fixed().find(&request("a", SecretKind::Sudo)).await.err(), Some(Refusal::Missing));
}

#[tokio::test]
async fn first_host_decides_for_the_others() {
    let (secrets, a, b) = (fixed(), request("a", SecretKind::Password), request("b", SecretKind::Password));
    let first = secrets.find(&a).await.ok().unwrap();
    let mut second = Box::pin(secrets.find(&b));
    assert!(futures_poll(&mut second).is_none());
    first.reject();
    assert_eq!(second.await.err(), Some(Refusal::Rejected(a.host.clone())));
    assert_eq!(secrets.clone().find(&a).await.err(), Some(Refusal::Rejected(a.host)));
}

#[tokio::test]
async fn host_that_refuses_what_others_accept_refuses_for_itself_alone() {
    let (secrets, a, b) = (fixed(), request("a", SecretKind::Password), request("b", SecretKind::Password));
    secrets.find(&a).await.ok().unwrap().accept();
    let (one, other) = (secrets.find(&b).await.ok().unwrap(), secrets.find(&a).await.ok().unwrap());
    one.reject();
    assert_eq!(secrets.find(&b).await.err(), Some(Refusal::Rejected(b.host)));
    drop(other);
    assert!(secrets.find(&a).await.is_ok());
}

#[tokio::test]
async fn try_that_is_lost_or_takes_long_lets_the_next_host_try() {
    tokio::time::pause();
    let (secrets, a, b) = (fixed(), request("a", SecretKind::Password), request("b", SecretKind::Password));
    drop(secrets.find(&a).await.ok().unwrap());
    let mut first = secrets.find(&b).await.ok().unwrap();
    tokio::select! {
        never = first.let_others_try() => match never {},
        second = secrets.find(&a) => assert!(second.is_ok()),
    }
}

#[tokio::test]
async fn answer_of_a_callback_is_kept_even_if_nobody_waits_for_it() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (count, released) =
        (Arc::new(std::sync::atomic::AtomicUsize::new(0)), std::sync::Mutex::new(released));
    let counted = count.clone();
    let secrets = Secrets::callback(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        released.lock().unwrap().recv().ok()?;
        Some(Secret::new("late"))
    });
    let request = request("a", SecretKind::Password);
    {
        let mut find = Box::pin(secrets.find(&request));
        assert!(futures_poll(&mut find).is_none());
    }
    release.send(()).unwrap();
    let found = secrets.find(&request).await.ok().unwrap();
    assert_eq!(**found.line("+"), b"+late\n"[..]);
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn nothing_shows_a_secret() {
    let secrets = fixed();
    let shown = format!("{:?} {secrets:?}", Secret::new("s3cret"));
    assert_eq!(shown, "Secret(..) Secrets { fixed: [Password], callback: false }");
    assert_eq!(shown_prompt("\x1b[2J Password:\n"), "?[2J Password:");
}

fn shown_prompt(prompt: &str) -> String {
    shown(prompt)
}

/// Polls a future once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
