//! Still pictures.

use domain::{MediaTime, Resolution, Timescale};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{PicturesRequest, Shot};

use crate::setup::{all, engine, open, planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("every_shot_gives_a_picture_of_its_size", every_shot_gives_a_picture_of_its_size),
        trial("pictures_of_hdr_and_turned_sources_come_upright", pictures_of_hdr_and_turned_sources_come_upright),
    ]
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
        let request = PicturesRequest { track, origin: source.plan.origin, shots: shots.clone() };
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
        let request = PicturesRequest { track, origin: source.plan.origin, shots };
        let pictures = all(engine().pictures(open(&path), request).expect("a session")).await.expect("pictures");
        assert_eq!(pictures.len(), 1, "{file}");
        assert!(pictures[0].rgb.iter().any(|value| *value > 60), "{file}");
    }
}
