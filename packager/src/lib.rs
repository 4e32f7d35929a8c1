//! Coded samples to CMAF segments; a presentation to HLS playlists, WebVTT and chapters. Pure.
