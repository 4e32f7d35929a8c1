-- A second factor.

update users set totp = '3132333435363738393031323334353637383930', totp_step = 59666666 where id = 'usr_0000000000000000000000000v';
insert into recovery_codes (user_id, hash) values ('usr_0000000000000000000000000v', 'hash-6');
