//! Power cuts while bytes are sent: what was acknowledged is there afterwards, and the file is the one that was sent.

use std::time::Duration;

use bytes::Bytes;
use enlace_tests::power::{Chance, Machine, Shim, Tear};
use enlace_tests::{NewIdentity, OAUTH_CLIENT, World, client};
use transport::backbone::{NewUpload, Session};
use transport::crypto::hash::sha512;
use transport::wire::backbone::previews::NewPreview;
use transport::wire::{ByteText, Timestamp, UploadId};

use crate::{content, described};

const SEED: &str = "ENLACE_POWER_SEED";
/// Files that are sent without a setting.
const FEW_ROUNDS: usize = 4;
const LENGTH: usize = 1_500_000;

async fn start(machine: &mut Machine) -> String {
    let start = ["backbone", "--json", "--listen", "127.0.0.1:0", "--did-domain-name", "localhost"];
    let arguments = start.into_iter().chain(["--client", OAUTH_CLIENT, "--data-dir"]).map(str::to_owned);
    let arguments: Vec<_> = arguments.chain([machine.data_dir().to_str().unwrap().to_owned()]).collect();
    let process = machine.start(&arguments).await.expect("it starts by itself");
    process.announcement["url"].as_str().unwrap().to_owned()
}

/// Sends pieces until nobody answers or all are there. Returns how many bytes were acknowledged.
async fn send(session: Session, id: UploadId, all: Bytes, mut acknowledged: u64, mut chance: Chance) -> u64 {
    while acknowledged < all.len() as u64 {
        let rest = all.slice(acknowledged as usize..);
        let piece = rest.slice(..rest.len().min(1 + chance.index(200_000)));
        match session.append_to_upload(&id, acknowledged, &piece, None).await {
            Ok(offset) => acknowledged = offset,
            Err(_) => return acknowledged,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_bytes_survive_power_cuts_and_become_the_file_that_was_sent() {
    let Some(shim) = Shim::or_skip() else { return };
    let rounds = std::env::var("ENLACE_POWER_ROUNDS").map_or(FEW_ROUNDS, |text| text.parse().unwrap());
    let (world, mut chance) = (World::new(), Chance::new(Chance::seed_from(SEED)));
    let mut machine = Machine::new(&world.directory("backbone"), shim, None).unwrap();
    let mut url = start(&mut machine).await;
    let credentials = NewIdentity::create(&client(&url)).await.credentials;
    let all = content(LENGTH);
    let mut cuts = 0;
    for round in 0..rounds {
        let mut session = client(&url).login(credentials.clone());
        let id = session.create_upload(NewUpload { length: Some(LENGTH as u64), is_partial: false }).await.unwrap();
        let preview = NewPreview { encrypted_properties: ByteText(b"shown".to_vec()), expires_at: Timestamp::NEVER };
        session.preview_upload(&id, &preview).await.unwrap();
        let mut acknowledged = 0;
        loop {
            let sending = tokio::spawn(send(session, id.clone(), all.clone(), acknowledged, chance.child()));
            tokio::time::sleep(Duration::from_micros(chance.below(40_000))).await;
            let tear = if chance.once_in(2) { Tear::Strict } else { Tear::Random };
            tokio::task::block_in_place(|| machine.cut(tear, &mut chance).unwrap());
            cuts += 1;
            let told = sending.await.unwrap();
            url = start(&mut machine).await;
            session = client(&url).login(credentials.clone());
            let state = session.upload_state(&id).await.unwrap();
            assert!(state.offset >= told, "round {round}, {tear:?}: {} of {told} acknowledged bytes", state.offset);
            let shown = session.file_preview(&id.file_id()).await.unwrap();
            assert_eq!(
                (shown.offset, shown.encrypted_properties),
                (state.offset, preview.encrypted_properties.clone())
            );
            acknowledged = state.offset;
            if acknowledged == LENGTH as u64 {
                break;
            }
        }
        let file = session.finish_upload(&id, &described(Some(sha512(&all).to_vec()))).await.unwrap();
        tokio::task::block_in_place(|| machine.cut(Tear::Strict, &mut chance).unwrap());
        url = start(&mut machine).await;
        session = client(&url).login(credentials.clone());
        let mut download = session.download_file(&file.id, LENGTH as u64).await.unwrap();
        let mut there = Vec::new();
        while let Some(chunk) = download.chunk().await.unwrap() {
            there.extend_from_slice(&chunk);
        }
        assert!(there == all, "round {round}: other bytes than were sent");
    }
    println!("{cuts} cuts");
}
