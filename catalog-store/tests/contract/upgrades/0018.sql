-- What was done, sealed.

insert into audit_log (seq, at, actor, action, subject, data, hash)
values (1, 1790000001000, 'usr_0000000000000000000000000v', 'user.set_up', 'usr_0000000000000000000000000v', '{}',
    'f66fdb6554046df68925b246393bba9ede0349bf8bd2e5ae0b061dadbbb5687d');
update audit_head set seq = 1, hash = 'f66fdb6554046df68925b246393bba9ede0349bf8bd2e5ae0b061dadbbb5687d';
