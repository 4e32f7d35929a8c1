//! Serves playlists and segments with ranges and conditionals; knows neither SQL nor libav.
