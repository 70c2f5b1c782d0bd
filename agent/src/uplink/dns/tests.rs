//! Messages as name servers send them, and as attackers do.

use domain::base::iana::Class;
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Ttl, iana::Opcode};

use super::*;

type Buffer = Array<512>;

const ID: u16 = 0x1234;

fn name(text: &str) -> Name<Array<255>> {
    text.parse().unwrap()
}

/// An answer to a question about `asked`, with whatever `fill` puts in.
fn reply(
    asked: &str,
    rtype: Rtype,
    rcode: Rcode,
    fill: impl FnOnce(&mut AnswerBuilder<Buffer>),
) -> Vec<u8> {
    let mut message = MessageBuilder::from_target(Buffer::new()).unwrap();
    let header = message.header_mut();
    header.set_id(ID);
    header.set_qr(true);
    header.set_opcode(Opcode::QUERY);
    header.set_rcode(rcode);
    let mut question = message.question();
    question.push((name(asked), rtype)).unwrap();
    let mut answer = question.answer();
    fill(&mut answer);
    answer.finish().as_slice().to_vec()
}

fn one_address(rcode: Rcode) -> Vec<u8> {
    reply("hub.lan", Rtype::A, rcode, |answer| {
        let ttl = Ttl::from_secs(300);
        answer
            .push((name("hub.lan"), Class::IN, ttl, A::from_octets(10, 0, 0, 7)))
            .unwrap();
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_question_asks_for_recursion_and_for_nothing_else() {
    let question = write_question("hub.lan", ID, Rtype::A).unwrap();
    assert_eq!(
        question.as_slice(),
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03hub\x03lan\x00\x00\x01\x00\x01"
    );
    assert!(write_question("a..b", ID, Rtype::A).is_none());
    assert!(write_question(&"a".repeat(64), ID, Rtype::A).is_none());
}

#[test]
fn an_answer_gives_its_addresses_and_the_shortest_time() {
    let message = reply("hub.lan", Rtype::A, Rcode::NOERROR, |answer| {
        for (last, ttl_s) in [(7, 300), (8, 60)] {
            let data = A::from_octets(10, 0, 0, last);
            answer
                .push((name("Hub.lan"), Class::IN, Ttl::from_secs(ttl_s), data))
                .unwrap();
        }
    });
    let expected = Addresses::from_iter([address("10.0.0.7"), address("10.0.0.8")]);
    assert_eq!(
        read_reply(&message, "HUB.lan", ID, Rtype::A),
        Some(Reply::Addresses(expected, 60))
    );
}

#[test]
fn an_answer_behind_an_alias_counts_for_as_long_as_the_alias() {
    let message = reply("hub.lan", Rtype::AAAA, Rcode::NOERROR, |answer| {
        let (ttl, short) = (Ttl::from_secs(86_400), Ttl::from_secs(30));
        let alias = domain::rdata::Cname::new(name("real.lan"));
        answer
            .push((name("hub.lan"), Class::IN, short, alias))
            .unwrap();
        let data = Aaaa::new("2001:db8::7".parse().unwrap());
        answer
            .push((name("real.lan"), Class::IN, ttl, data))
            .unwrap();
    });
    let expected = Addresses::from_iter([address("2001:db8::7")]);
    let read = read_reply(&message, "hub.lan", ID, Rtype::AAAA);
    assert_eq!(read, Some(Reply::Addresses(expected, 30)));
}

#[test]
fn a_name_that_is_not_there_and_a_server_that_will_not_say_are_told_apart() {
    for (rcode, expected) in [
        (Rcode::NXDOMAIN, Reply::NoSuchName),
        (Rcode::SERVFAIL, Reply::Unwilling),
        (Rcode::REFUSED, Reply::Unwilling),
    ] {
        let message = reply("hub.lan", Rtype::A, rcode, |_| {});
        assert_eq!(
            read_reply(&message, "hub.lan", ID, Rtype::A),
            Some(expected)
        );
    }
    let message = reply("hub.lan", Rtype::A, Rcode::NOERROR, |_| {});
    let read = read_reply(&message, "hub.lan", ID, Rtype::A);
    assert!(matches!(read, Some(Reply::Addresses(found, _)) if found.is_empty()));
}

#[test]
fn an_answer_that_was_cut_to_nothing_does_not_say_that_there_is_none() {
    let mut message = reply("hub.lan", Rtype::A, Rcode::NOERROR, |_| {});
    message[2] |= 0x02;
    let read = read_reply(&message, "hub.lan", ID, Rtype::A);
    assert_eq!(read, Some(Reply::Cut));
    let mut message = one_address(Rcode::NOERROR);
    message[2] |= 0x02;
    let read = read_reply(&message, "hub.lan", ID, Rtype::A);
    assert!(matches!(read, Some(Reply::Addresses(found, _)) if found.len() == 1));
}

#[test]
fn n15_the_address_where_the_server_was_met_stays_whatever_is_answered_later() {
    let (good, other) = (address("10.0.0.7"), address("10.0.0.8"));
    let mut stub = Stub::default();
    let keep = |stub: &mut Stub, answered: &[IpAddr]| {
        stub.keep("hub.lan", &answered.iter().copied().collect(), 60, 0);
        match stub.look_up("hub.lan", 1) {
            Lookup::Known(addresses) => addresses,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(keep(&mut stub, &[other, good]), [other, good]);
    stub.confirm("hub.lan", good);
    // First while it is among what is answered, else last.
    assert_eq!(keep(&mut stub, &[other, good]), [good, other]);
    assert_eq!(keep(&mut stub, &[other]), [other, good]);
    let many: Vec<IpAddr> = (0..MAX_ADDRESSES as u8)
        .map(|n| IpAddr::from([192, 0, 2, n]))
        .collect();
    let order = keep(&mut stub, &many);
    assert_eq!((order.len(), order.last()), (MAX_ADDRESSES, Some(&good)));
    stub.confirm("hub.lan", many[3]);
    assert_eq!(keep(&mut stub, &many)[..2], [many[3], many[0]]);
}

#[test]
fn what_is_no_answer_to_the_question_is_passed_over() {
    let message = one_address(Rcode::NOERROR);
    assert_eq!(
        read_reply(&message, "hub.lan", ID + 1, Rtype::A),
        None,
        "another id"
    );
    assert_eq!(
        read_reply(&message, "other.lan", ID, Rtype::A),
        None,
        "another name"
    );
    assert_eq!(
        read_reply(&message, "hub.lan", ID, Rtype::AAAA),
        None,
        "another type"
    );
    let question = write_question("hub.lan", ID, Rtype::A).unwrap();
    assert_eq!(
        read_reply(question.as_slice(), "hub.lan", ID, Rtype::A),
        None,
        "our own question"
    );
}

#[test]
fn a_cut_or_changed_answer_never_gives_an_address_that_was_not_in_it() {
    let message = one_address(Rcode::NOERROR);
    let real = address("10.0.0.7");
    for cut in 0..message.len() {
        if let Some(Reply::Addresses(found, _)) =
            read_reply(&message[..cut], "hub.lan", ID, Rtype::A)
        {
            assert!(found.is_empty(), "cut at byte {cut}");
        }
    }
    // Every byte but those of the address itself, turned over.
    for at in 0..message.len() - 4 {
        let mut changed = message.clone();
        changed[at] ^= 0xff;
        if let Some(Reply::Addresses(found, _)) = read_reply(&changed, "hub.lan", ID, Rtype::A) {
            assert!(found.iter().all(|address| *address == real), "byte {at}");
        }
    }
}

#[test]
fn more_addresses_than_are_kept_do_no_harm() {
    let message = reply("hub.lan", Rtype::A, Rcode::NOERROR, |answer| {
        for last in 0..20 {
            let data = A::from_octets(10, 0, 0, last);
            answer
                .push((name("hub.lan"), Class::IN, Ttl::from_secs(1), data))
                .unwrap();
        }
    });
    let read = read_reply(&message, "hub.lan", ID, Rtype::A);
    assert!(matches!(read, Some(Reply::Addresses(found, _)) if found.len() == MAX_ADDRESSES));
}

/// A look-up of hub.lan that was asked of `server` and got these replies.
fn asked(server: SocketAddr, replies: [Option<Reply>; 2]) -> Stub {
    let mut query = Query::new("hub.lan");
    query.conf.servers.clear();
    query.conf.servers.push(server).unwrap();
    query.tries = ROUNDS;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    query.socket = Some(socket);
    query.replies = replies;
    Stub {
        query: Some(query),
        ..Stub::default()
    }
}

#[test]
fn an_answer_that_was_cut_is_asked_for_in_full_also_if_the_other_was_not() {
    use std::io::{Read, Write};
    let six = address("2001:db8::7");
    for answers in [true, false] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let whole = Reply::Addresses(Addresses::from_iter([six]), 60);
        let server = listener.local_addr().unwrap();
        let mut stub = asked(server, [Some(Reply::Cut), Some(whole)]);
        stub.conclude(0);
        assert!(
            stub.is_busy(),
            "what was not cut would do for nobody without IPv6"
        );
        let (mut guest, _) = listener.accept().unwrap();
        stub.turn(1);
        let mut question = [0; 2 + 25];
        guest.read_exact(&mut question).unwrap();
        if answers {
            let mut message = one_address(Rcode::NOERROR);
            message[..2].copy_from_slice(&question[2..4]);
            let length = u16::try_from(message.len()).unwrap();
            guest.write_all(&length.to_be_bytes()).unwrap();
            guest.write_all(&message).unwrap();
        }
        drop(guest);
        while let Some((fd, events)) = stub.socket() {
            nix::poll::poll(
                &mut [nix::poll::PollFd::new(fd, events)],
                nix::poll::PollTimeout::NONE,
            )
            .unwrap();
            stub.turn(2);
        }
        let found = stub.outcome("hub.lan").unwrap();
        if answers {
            assert_eq!(found, [address("10.0.0.7"), six]);
        } else {
            assert_eq!(found, [six], "what was known is not lost");
        }
    }
}
