BEGIN TRANSACTION;
CREATE TABLE attempts (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL, step TEXT NOT NULL, op TEXT NOT NULL, task TEXT NOT NULL,
    endpoint TEXT NOT NULL, zone TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'sent', 'settled', 'estimated', 'void')),
    process TEXT NOT NULL, sequence INTEGER UNIQUE,
    started TEXT NOT NULL, finished TEXT NOT NULL DEFAULT '',
    size_bucket INTEGER NOT NULL, audio_seconds REAL NOT NULL, megapixels REAL NOT NULL, pages INTEGER NOT NULL,
    est_input_tokens REAL, est_output_tokens REAL, est_cost REAL, est_seconds REAL, est_load_seconds REAL,
    cost_high REAL NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, cost REAL,
    seconds REAL, first_seconds REAL, load_seconds REAL,
    cold INTEGER NOT NULL DEFAULT 0, cached INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', provider_id TEXT NOT NULL DEFAULT ''
);
INSERT INTO "attempts" VALUES('ccd2c03e-2fcb-439e-9c7e-820fc5771223','r0','s','generate','text-generation','e:m','process','settled','',1,'2026-11-25T04:20:45.508+00:00','2026-11-25T04:20:45.547+00:00',7,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,100,11,0.002,1.5,0.5,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('e5b86104-e540-4e6d-8ed8-0d0146a08d26','r1','s','generate','text-generation','e:m','process','settled','',2,'2026-11-25T04:20:45.551+00:00','2026-11-25T04:20:45.558+00:00',7,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,120,11,0.002,1.54,0.54,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('d6c71df2-1cc9-41c1-9ed3-b9454bf74928','r2','s','generate','text-generation','e:m','process','settled','',3,'2026-11-25T04:20:45.561+00:00','2026-11-25T04:20:45.565+00:00',8,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,140,11,0.002,1.58,5.80000000000000071e-01,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('50995214-eeba-4f30-b260-d25a5e2a7b3a','r3','s','generate','text-generation','e:m','process','settled','',4,'2026-11-25T04:20:45.571+00:00','2026-11-25T04:20:45.583+00:00',8,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,160,11,0.002,1.62,0.62,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('7706094a-237b-4878-a28b-26bf4cd8de5f','r4','s','generate','text-generation','e:m','process','settled','',5,'2026-11-25T04:20:45.587+00:00','2026-11-25T04:20:45.598+00:00',8,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,180,11,0.002,1.66,6.5999999999999992e-01,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('bf55a7cc-e2af-40bd-90c8-6e0a85806581','r5','s','generate','text-generation','e:m','process','settled','',6,'2026-11-25T04:20:45.603+00:00','2026-11-25T04:20:45.619+00:00',8,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,200,11,0.002,1.7,0.7,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('2c107eee-fabf-49da-a5fc-48ba904f5924','r6','s','generate','text-generation','e:m','process','settled','',7,'2026-11-25T04:20:45.627+00:00','2026-11-25T04:20:45.634+00:00',8,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,220,11,0.002,1.74,0.74,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('e6e56c5d-a02c-4532-866e-864c0b5c6f8b','r7','s','generate','text-generation','e:m','process','settled','',8,'2026-11-25T04:20:45.638+00:00','2026-11-25T04:20:45.638+00:00',8,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,240,11,0.002,1.78,0.78,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('ed02b43b-cbbe-4f2d-8af6-b9068f3f825b','r8','s','generate','text-generation','e:m','process','settled','',9,'2026-11-25T04:20:45.642+00:00','2026-11-25T04:20:45.645+00:00',9,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,260,11,0.002,1.82,8.20000000000000062e-01,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('aa803ce6-20e8-4bde-a3de-dcfd92e53e3e','r9','s','generate','text-generation','e:m','process','settled','',10,'2026-11-25T04:20:45.648+00:00','2026-11-25T04:20:45.655+00:00',9,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,280,11,0.002,1.86,8.60000000000000097e-01,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('10e5610a-e333-4c61-b55b-de426fb1b794','r10','s','generate','text-generation','e:m','process','settled','',11,'2026-11-25T04:20:45.658+00:00','2026-11-25T04:20:45.664+00:00',9,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,300,11,0.002,1.9,8.99999999999999911e-01,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('408c6490-207c-47e6-aa4a-2a9d53effcf4','r11','s','generate','text-generation','e:m','process','settled','',12,'2026-11-25T04:20:45.667+00:00','2026-11-25T04:20:45.674+00:00',9,0.0,0.0,0,100.0,NULL,NULL,1.0,NULL,0.01,320,11,0.002,1.94,0.94,0.0,0,0,'','');
INSERT INTO "attempts" VALUES('d172e712-c4b3-4809-91a5-342335515122','open','s','generate','text-generation','e:m','process','reserved','',NULL,'2026-11-25T04:20:45.678+00:00','',0,0.0,0.0,0,NULL,NULL,NULL,NULL,NULL,0.01,NULL,NULL,NULL,NULL,NULL,NULL,0,0,'','');
CREATE TABLE conversation (
    one INTEGER PRIMARY KEY CHECK (one = 1), messages BLOB NOT NULL, endpoint TEXT NOT NULL, updated TEXT NOT NULL
);
INSERT INTO "conversation" VALUES(1,X'7B226D65737361676573223A5B7B22726F6C65223A2275736572222C227061727473223A5B7B226B696E64223A2274657874222C2274657874223A226869227D5D7D5D2C22706F6C696379223A7B7D7D','e:m','2026-11-25T04:20:45.683+00:00');
CREATE TABLE runs (
    id TEXT PRIMARY KEY, plan TEXT NOT NULL, inputs TEXT NOT NULL, endpoint TEXT NOT NULL, objective TEXT NOT NULL,
    parts TEXT NOT NULL, started TEXT NOT NULL, finished TEXT NOT NULL DEFAULT '', outcome TEXT NOT NULL,
    cost REAL, seconds REAL
);
INSERT INTO "runs" VALUES('r1','p','','','','[]','2026-11-25T04:20:45.680+00:00','','running',NULL,NULL);
CREATE TABLE schema (version INTEGER NOT NULL);
INSERT INTO "schema" VALUES(1);
CREATE INDEX attempts_open ON attempts (state) WHERE state IN ('reserved', 'sent');
COMMIT;
