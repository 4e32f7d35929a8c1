module headwater.invalid/benches/tusd

go 1.19

require github.com/tus/tusd/v2 v2.2.2
