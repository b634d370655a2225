//! Shows that the judge of who leads can fail: a faulty substitute acts in the place of a daemon.

use super::base::{Base, Endings, Key, MIDNIGHT};
use super::chance::Chance;
use super::judge::HOUR;
use super::leads::Claim;
use super::locks::{Daemon, GOT, HELD, TAKEN};
use super::setting::{LOCK, OTHER_LOCK};

const ONE: Daemon = Daemon { host: 0, life: 1 };
const TWO: Daemon = Daemon { host: 1, life: 1 };

/// A database with a session of each daemon, of which the first has begun a term, which lasts for an hour by now.
struct Scene {
    base: Base,
    first: Key,
    second: Key,
}

fn words(call: &str) -> String {
    let request = |mode| {
        format!("SYS.DBMS_LOCK.REQUEST(id => {LOCK}, lockmode => {mode}, timeout => 0, release_on_commit => FALSE)")
    };
    match call {
        "begin" => format!("BEGIN :code := {}; END;", request(6)),
        "share" => format!(
            "answer := {}; IF answer = 4 THEN IF SYS.DBMS_LOCK.CONVERT({LOCK}, 4, 0) <> 0 THEN",
            request(4)
        ),
        _ => format!("BEGIN :code := {}; END;", request(4)),
    }
}

impl Scene {
    fn new() -> Scene {
        let began = MIDNIGHT + 12 * HOUR;
        // Whoever is killed while it works stays for a while.
        let endings = Endings {
            lingers: 600,
            ..Endings::default()
        };
        let mut base = Base::new("ONE", 2, began, endings, Chance::of(1));
        let [first, second] = [(1, ONE), (2, TWO)].map(|(inst, daemon)| {
            let key = base.log_in(inst, None).expect("it is up");
            base.belongs(key, daemon);
            key
        });
        assert_eq!(base.asked_for_lock(first, &words("begin")), GOT);
        assert_eq!(base.asked_for_lock(first, &words("share")), HELD);
        base.advance(began + HOUR);
        Scene { base, first, second }
    }

    fn claim(&self, session: Key) -> Claim {
        Claim {
            session,
            lock: LOCK,
            asked: self.base.now - 60,
            read: self.base.now - 60,
            hold: 600,
        }
    }

    fn why_not(&self, claim: &Claim) -> String {
        claim.check(&self.base).expect_err("it may not be carried out")
    }
}

#[test]
fn what_the_leader_sends_is_carried_out() {
    let mut scene = Scene::new();
    assert_eq!(scene.claim(scene.first).check(&scene.base), Ok(()));
    // A further session of the same daemon.
    let third = scene.base.log_in(1, None).expect("it is up");
    scene.base.belongs(third, ONE);
    assert_eq!(scene.base.asked_for_lock(third, &words("join")), GOT);
    scene.base.log_off(scene.first);
    assert_eq!(scene.claim(third).check(&scene.base), Ok(()));
}

#[test]
fn two_leads_cannot_overlap() {
    let mut scene = Scene::new();
    let (first, second) = (scene.first, scene.second);
    assert!(
        scene.why_not(&scene.claim(second)).contains("without lock"),
        "it has none"
    );
    assert_eq!(scene.base.asked_for_lock(second, &words("begin")), TAKEN);
    // It takes what the other one shares.
    assert_eq!(scene.base.asked_for_lock(second, &words("join")), GOT);
    assert!(scene.why_not(&scene.claim(second)).contains("in the term of another"));
    // Nor does the end of the other one make it its own.
    scene.base.log_off(first);
    assert!(scene.why_not(&scene.claim(second)).contains("in the term of another"));
}

#[test]
fn a_lock_that_nobody_took_alone_is_no_lead() {
    let mut scene = Scene::new();
    scene.base.log_off(scene.first);
    assert_eq!(scene.base.asked_for_lock(scene.second, &words("join")), GOT);
    assert!(
        scene
            .why_not(&scene.claim(scene.second))
            .contains("in the term of another")
    );
}

#[test]
fn a_daemon_that_was_started_again_is_another_one() {
    let mut scene = Scene::new();
    scene.base.belongs(scene.first, Daemon { host: 0, life: 2 });
    assert!(
        scene
            .why_not(&scene.claim(scene.first))
            .contains("in the term of another")
    );
}

#[test]
fn another_lock_is_none() {
    let scene = Scene::new();
    let claim = Claim {
        lock: OTHER_LOCK,
        ..scene.claim(scene.first)
    };
    assert!(scene.why_not(&claim).contains("without lock"));
}

#[test]
fn a_lock_is_lost_with_its_session() {
    let mut scene = Scene::new();
    let first = scene.first;
    scene.base.killed_by_somebody(first);
    assert!(scene.base.find(first).is_some(), "its row stays");
    assert!(scene.why_not(&scene.claim(first)).contains("without lock"));
    assert_eq!(scene.base.asked_for_lock(scene.second, &words("begin")), GOT);

    let mut scene = Scene::new();
    scene.base.haunts(first, scene.base.now + 30);
    assert_eq!(
        scene.claim(first).check(&scene.base),
        Ok(()),
        "the database has not noticed"
    );
    assert_eq!(scene.base.asked_for_lock(scene.second, &words("begin")), TAKEN);
    scene.base.advance(scene.base.now + 30);
    assert!(scene.why_not(&scene.claim(first)).contains("without lock"));
    assert_eq!(scene.base.asked_for_lock(scene.second, &words("begin")), GOT);
}

#[test]
fn what_was_decided_before_the_term_is_void() {
    let mut scene = Scene::new();
    scene.base.log_off(scene.first);
    assert_eq!(scene.base.asked_for_lock(scene.second, &words("begin")), GOT);
    let began = scene.base.now;
    scene.base.advance(began + 10);
    for (asked, hold, why) in [
        (began, 0, "from before its term"),
        (began - 60, 0, "from before its term"),
        (began + 1, 2, "1 s after its term began"),
    ] {
        let claim = Claim {
            asked,
            read: asked,
            hold,
            ..scene.claim(scene.second)
        };
        assert!(scene.why_not(&claim).contains(why), "{asked}");
    }
    let claim = Claim {
        asked: began + 1,
        read: began + 9,
        hold: 9,
        ..scene.claim(scene.second)
    };
    assert_eq!(claim.check(&scene.base), Ok(()));
}
