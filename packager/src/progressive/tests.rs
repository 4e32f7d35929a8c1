use proptest::prelude::*;

use super::*;
use crate::film::{self, Files};

const TRACKS: [&str; 2] = ["low", "audio-0-en"];

fn built(files: &Files, names: &[&str]) -> File {
    let inits: Vec<&[u8]> = names.iter().map(|name| files[&format!("{name}/init.mp4")].as_slice()).collect();
    let mut builder = Builder::new(&inits).expect("init segments");
    for (track, name) in names.iter().enumerate() {
        for segment in 0..4u32 {
            let octets = &files[&format!("{name}/{segment}.m4s")];
            for range in moofs(octets) {
                let at = |offset: u64| usize::try_from(offset).expect("small");
                let moof = &octets[at(range.start)..at(range.end)];
                assert_eq!(moof_bytes(moof), Some(range.end - range.start));
                assert_eq!(first_moof(&octets[..60]), moofs(octets).first().cloned());
                builder.fragment(track, segment, range.start, moof).expect("a fragment");
            }
        }
    }
    builder.finish().expect("a file")
}

/// The octets `range` of the file.
fn read(file: &File, files: &Files, names: &[&str], range: Range<u64>) -> Vec<u8> {
    let piece = |piece| match piece {
        Piece::Header(range) => file.header()[range].to_vec(),
        Piece::Segment { track, segment, range } => {
            let at = |offset: u64| usize::try_from(offset).expect("small");
            files[&format!("{}/{segment}.m4s", names[track])][at(range.start)..at(range.end)].to_vec()
        }
    };
    file.pieces(range).flat_map(piece).collect()
}

#[test]
fn a_file_holds_every_sample_with_its_time() {
    let (film, files) = film::film();
    let file = built(&files, &TRACKS);
    let whole = read(&file, &files, &TRACKS, 0..file.bytes());
    assert_eq!(whole.len() as u64, file.bytes());
    let mp4 = re_mp4::Mp4::read_bytes(&whole).expect("a file");
    let mut tracks: Vec<_> = mp4.tracks().values().collect();
    tracks.sort_by_key(|track| track.track_id);
    let (video, audio) = (tracks[0], tracks[1]);
    assert_eq!(
        (video.width, video.height, video.timescale),
        (160, 120, u64::from(film.video[0].timescale.per_second()))
    );
    assert_eq!(video.samples.len() as u64, film::FRAMES);
    assert_eq!(audio.samples.len(), 432);
    // I, then pairs in the other order: each is shown a frame earlier or later than it is decoded.
    let frame = i64::from(film.video[0].frame_rate.frame_ticks());
    let shown: Vec<i64> = video.samples.iter().take(5).map(|one| one.composition_timestamp / frame).collect();
    assert_eq!(shown.iter().map(|at| at - shown[0]).collect::<Vec<_>>(), [0, 2, 1, 4, 3]);
    assert_eq!(video.samples.iter().filter(|sample| sample.is_sync).count(), 5);
    for (name, track) in TRACKS.iter().zip([video, audio]) {
        let mut samples = track.samples.iter().map(|sample| {
            let at = usize::try_from(sample.offset).expect("small");
            whole[at..at + usize::try_from(sample.size).expect("small")].to_vec()
        });
        for segment in 0..4 {
            let octets = &files[&format!("{name}/{segment}.m4s")];
            let init = Init::read(&files[&format!("{name}/init.mp4")]).expect("an init segment");
            for fragment in bmff::fragments(octets, &init).expect("fragments") {
                for sample in &fragment.samples {
                    assert_eq!(samples.next().as_deref(), Some(sample.data(octets)), "{name} {segment}");
                }
            }
        }
        assert_eq!(samples.next(), None);
    }
}

#[test]
fn sound_alone_is_a_file_too() {
    let (_, files) = film::film();
    let file = built(&files, &["audio-0-en"]);
    assert!(file.header()[4..].starts_with(b"ftypM4A "));
    let whole = read(&file, &files, &["audio-0-en"], 0..file.bytes());
    let mp4 = re_mp4::Mp4::read_bytes(&whole).expect("a file");
    let track = mp4.tracks().values().next().expect("a track");
    assert_eq!((track.samples.len(), track.duration), (432, 432 * 1024));
}

#[test]
fn picture_and_sound_lie_next_to_each_other() {
    let (_, files) = film::film();
    let file = built(&files, &TRACKS);
    let mut order: Vec<(usize, u32)> = Vec::new();
    for piece in file.pieces(0..file.bytes()) {
        if let Piece::Segment { track, segment, .. } = piece {
            order.push((track, segment));
        }
    }
    // The last segment of sound begins a few samples before that of the picture, which has two fragments.
    assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (1, 3), (0, 3), (0, 3)]);
}

#[test]
fn fragments_out_of_order_are_refused() {
    let (_, files) = film::film();
    let mut builder = Builder::new(&[&files["low/init.mp4"]]).expect("an init segment");
    let moof = |segment: u32| {
        let octets = &files[&format!("low/{segment}.m4s")];
        let range = moofs(octets)[0].clone();
        (
            range.start,
            octets[usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small")].to_vec(),
        )
    };
    let ((at, first), (_, third)) = (moof(0), moof(2));
    builder.fragment(0, 0, at, &first).expect("the first");
    assert_eq!(builder.fragment(0, 0, at, &first), Err(ProgressiveError::Order("fragments")), "twice");
    assert_eq!(builder.fragment(0, 2, at, &third), Err(ProgressiveError::Order("fragments")));
    assert!(matches!(builder.fragment(0, 1, at, &first[..40]), Err(ProgressiveError::Damaged { .. })));
    assert!(Builder::new(&[&first]).is_err());
    assert_eq!((first_moof(b""), first_moof(&[0; 64]), first_moof(b"\0\0\0\x09styp")), (None, None, None));
    assert_eq!((moof_bytes(b"\0\0\0\x10mdat"), moof_bytes(b"\0\0\0\x08moof"), moof_bytes(b"moo")), (None, None, None));
}

#[test]
fn a_film_of_four_hours_has_a_header_and_64_bit_offsets() {
    let (_, files) = film::film();
    let init = Init::read(&files["low/init.mp4"]).expect("an init segment");
    let mut tables = Tables::new(init);
    let sample = |at: u32| bmff::Sample { offset: 0, bytes: 40_000, duration: 1000, shift: 0, is_sync: at == 0 };
    for number in 0..7200u64 {
        let samples = (0..60).map(sample).collect();
        let fragment = bmff::Fragment { offset: 0, track_id: 1, decode_time: Some(number * 60_000), samples };
        tables.add(&fragment).expect("a fragment");
        tables.place(number * 60 * 40_000);
    }
    let header = header(&[tables], 7200 * 60 * 40_000).expect("a header");
    assert!(header.len() < 2 << 20, "{} octets", header.len());
    assert_eq!(header[header.len() - 8..], (7200u64 * 60 * 40_000 + 16).to_be_bytes());
}

proptest! {
    #[test]
    fn any_range_is_that_part_of_the_whole(a in 0u64..40_000, b in 0u64..40_000) {
        let (_, files) = film::film();
        let file = built(&files, &TRACKS);
        let whole = read(&file, &files, &TRACKS, 0..file.bytes());
        let (start, end) = (a.min(b).min(file.bytes()), a.max(b).min(file.bytes()));
        let at = |offset: u64| usize::try_from(offset).expect("small");
        prop_assert_eq!(read(&file, &files, &TRACKS, start..end), &whole[at(start)..at(end)]);
    }
}
