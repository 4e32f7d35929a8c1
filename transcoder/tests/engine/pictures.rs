//! Still pictures.

use domain::{MediaTime, Resolution, Timescale};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{PicturesRequest, PreviewRequest, Shot};

use crate::setup::{all, engine, open, planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("every_shot_gives_a_picture_of_its_size", every_shot_gives_a_picture_of_its_size),
        trial("a_preview_moves_and_is_read_by_another_decoder", a_preview_moves_and_is_read_by_another_decoder),
        trial("pictures_of_hdr_and_turned_sources_come_upright", pictures_of_hdr_and_turned_sources_come_upright),
    ]
}

async fn a_preview_moves_and_is_read_by_another_decoder() {
    let path = media::clip(&ClipSpec { seconds: 12.0, container: "mkv", ..ClipSpec::default() });
    let source = planned(&path).await;
    let track = source.probe.main_video().expect("a video").clone();
    let request = PreviewRequest {
        track,
        origin: source.plan.origin,
        resolution: Resolution { width: 160, height: 90 },
        scenes: [1000, 9000].map(|ms| MediaTime::new(ms, Timescale::MILLISECONDS)).into(),
        frames_per_scene: 5,
        frame_ms: 125,
    };
    let preview = engine().preview(open(&path), request.clone()).await.expect("a preview");
    assert_eq!(preview.frame_count, 10);
    assert_eq!(engine().preview(open(&path), request.clone()).await.expect("a preview"), preview, "the same each time");
    let size = image::ImageReader::new(std::io::Cursor::new(&preview.webp)).with_guessed_format().expect("a format");
    assert_eq!(size.into_dimensions().expect("a size"), (160, 90));
    let decoder = image::codecs::webp::WebPDecoder::new(std::io::Cursor::new(&preview.webp)).expect("a WebP");
    assert!(decoder.has_animation());
    let frames = image::AnimationDecoder::into_frames(decoder).collect_frames().expect("frames");
    assert_eq!(frames.len(), 10);
    assert!(frames.iter().take(9).all(|frame| frame.delay().numer_denom_ms() == (125, 1)));
    assert!(frames.windows(2).all(|pair| pair[0].buffer() != pair[1].buffer()), "it moves");

    let too_many = PreviewRequest { frames_per_scene: 1000, ..request };
    assert!(engine().preview(open(&path), too_many).await.is_err());
}

fn shot(ms: i64, width: u32, height: u32) -> Shot {
    Shot { time: MediaTime::new(ms, Timescale::MILLISECONDS), resolution: Resolution { width, height } }
}

async fn every_shot_gives_a_picture_of_its_size() {
    for container in ["mp4", "ts", "mkv"] {
        let path = media::clip(&ClipSpec { seconds: 6.0, container, ..ClipSpec::default() });
        let source = planned(&path).await;
        let shots = vec![shot(0, 160, 90), shot(2500, 320, 180), shot(5900, 80, 45), shot(9000, 80, 45)];
        let track = source.probe.main_video().expect("a video").clone();
        let request =
            PicturesRequest { track, origin: source.plan.origin, shots: shots.clone(), only_key_frames: false };
        let pictures = all(engine().pictures(open(&path), request).expect("a session")).await.expect("pictures");
        assert_eq!(pictures.iter().map(|picture| picture.shot).collect::<Vec<_>>(), [0, 1, 2, 3], "{container}");
        assert!(pictures.iter().zip(&shots).all(|(picture, shot)| picture.resolution == shot.resolution));
        assert!(pictures.iter().all(|picture| picture.rgb.iter().any(|value| *value > 60)), "{container}: not black");
    }
}

async fn pictures_of_hdr_and_turned_sources_come_upright() {
    for file in ["e_torchcodec_nasa_13013_hdr.mp4", "b_torchcodec_nasa_13013_rotated.mp4"] {
        let Some(path) = fixtures::corpus_file(file) else { return };
        let source = planned(&path).await;
        let display = source.probe.main_video().expect("a video").display();
        let track = source.probe.main_video().expect("a video").clone();
        let shots = vec![shot(400, display.width, display.height)];
        let request = PicturesRequest { track, origin: source.plan.origin, shots, only_key_frames: false };
        let pictures = all(engine().pictures(open(&path), request).expect("a session")).await.expect("pictures");
        assert_eq!(pictures.len(), 1, "{file}");
        assert!(pictures[0].rgb.iter().any(|value| *value > 60), "{file}");
    }
}
